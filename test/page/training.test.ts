// A mixture of experts trained in a page of a real browser, beside the same training in Node: both on SwiftShader.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compile, compileFor, targets } from "../../compiler/compile.ts";
import { textFiles } from "../../compiler/emit/output-files.ts";
import { folderSource } from "../../runtime/node-host.ts";
import { openModel } from "../../runtime/open-model.ts";
import { specOf } from "../language/spec-text.ts";
import { bundleForPage } from "./bundle.ts";
import { openBrowser } from "./chromium.mjs";
import { type Site, serveFiles } from "./site.mjs";

const steps = 20;

/** Latent attention and experts, with few enough channels for software. */
const expertsSpec = `mspec: 1
name: experts
model:
  vocab: 256
  context: 48
  width: 32
  layers: 2
  attention: { kind: mla, heads: 2, kv_rank: 16, nope_dim: 8, rope_dim: 4, value_dim: 8 }
  ffn: { kind: moe, experts: 4, top_k: 2, intermediate: 16, router: { score: sigmoid(logit), normalize: true, bias_update: 1e-3 } }
data: { tokenizer: bytes, train: ["*.txt"], validation: 0.2 }
train:
  sequence: 32
  batch: { sequences: 4, micro: 2 }
  steps: ${steps}
  lr: warmup(2) to 2e-2 then cosine to 1e-3
  clip: 1
  init: { all: normal(0.05) }
  evaluate_every: 10
serve: { sequences: 1, tokens: 16, page: 8 }
`;

/**
 * How far the loss of a step, from 1 on, may lie from that of the same step elsewhere, as a share of it.
 *
 * Weights begin equal. Two compilers of the same WGSL may fuse a product with its sum or not, so a result of some hundred
 * terms differs by some 2^-24 of it each time: 1e-5 through all layers. AdamW then divides a gradient by its own size, so
 * the few weights whose gradient is no larger than that difference step another way, by the whole learning rate; what was
 * different so far is carried along. Every step may add as much again: 1e-4 in all, with room.
 */
const tolerance = (step: number): number => 1e-4 * step;

interface Trained {
  readonly losses: readonly number[];
  readonly validationLoss: number | undefined;
  readonly tokens: readonly number[];
  readonly evaluated: number;
}

const folder = mkdtempSync(join(tmpdir(), "mspec-page-training-"));
/** So regular that twenty steps learn words of it. */
const corpus = Array.from({ length: 12 }, (_, i) => "the queen and the king ".repeat(12 + i));
const prompt = "the king and ";
const maxTokens = 32;
/** Opening compiles every kernel for a CPU: seconds, and several times as long where others work too. */
const patience = 300_000;

let site: Site;
let browser: Browser;

function write(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
}

beforeAll(async () => {
  const spec = specOf(expertsSpec);
  const build = compile(spec);
  const others = [compileFor(targets["wgsl-soft"], spec, build.programs)];
  for (const { path, content } of textFiles(build, others)) write(`experts/${path}`, content);
  const chunks = await bundleForPage("test/page/in-page.mjs");
  for (const { file, code } of chunks) write(file, code);
  const entry = chunks.find(({ isEntry }) => isEntry)?.file;
  write("index.html", `<!doctype html><title>test</title><script type="module" src="/${entry}"></script>`);
  site = await serveFiles(folder);
  browser = await openBrowser();
});
afterAll(async () => {
  await browser?.close();
  await site?.close();
  rmSync(folder, { recursive: true });
});

async function openPage(path: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(`${site.address}${path}`);
  return page;
}

async function trainInNode(): Promise<Trained> {
  const model = await openModel(folderSource(join(folder, "experts")), { device: "webgpu:software" });
  const losses: number[] = [];
  const { validationLoss } = await model.train({
    corpus,
    observer: { onStep: ({ loss }) => void losses.push(loss) },
  });
  const { tokens } = await model.generate({ prompt, maxTokens, temperature: 0 });
  const { loss } = await model.evaluate(corpus);
  await model.close();
  return { losses, validationLoss, tokens: [...tokens], evaluated: loss };
}

it(
  "gives the losses of the same training in Node and the same greedy text, and says when its device is lost (H2)",
  async () => {
    const page = await openPage("/");
    await page.waitForFunction("globalThis.mspecTest !== undefined");
    const given = ["/experts", corpus, prompt, maxTokens].map((value) => JSON.stringify(value)).join(", ");
    const inPage = (await page.evaluate(`mspecTest.train(${given})`)) as Trained;
    const inNode = await trainInNode();
    expect(inPage.losses).toHaveLength(steps);
    const shares = inPage.losses.map(
      (loss, i) => Math.abs(loss - inNode.losses[i]) / inNode.losses[i] / tolerance(i + 1),
    );
    expect(Math.max(...shares), `losses ${inPage.losses.join()} and ${inNode.losses.join()}`).toBeLessThan(1);
    // It learns, so that equal losses are no accident of a model that does nothing.
    expect(inPage.losses[steps - 1]).toBeLessThan(inPage.losses[0] - 1);
    for (const name of ["validationLoss", "evaluated"] as const) {
      expect(inPage[name], name).toBeGreaterThan(0.1);
      expect(Math.abs((inPage[name] ?? 0) / (inNode[name] ?? 0) - 1), name).toBeLessThan(tolerance(steps));
    }
    expect(inPage.tokens).toHaveLength(maxTokens);
    expect(inPage.tokens).toEqual(inNode.tokens);
    expect(new Set(inPage.tokens).size).toBeGreaterThan(3);
    process.stdout.write(
      `losses in a page differ from those in Node by at most ${Math.max(...shares).toExponential(1)} of the bound\n`,
    );
    expect(await page.evaluate(`mspecTest.lose(${JSON.stringify(corpus)}, 3)`)).toMatch(
      /^device\/lost: .*stopped behind step 3\n.*no folder, so nothing of it is saved\n/s,
    );
    await page.close();
  },
  patience,
);

it(
  "the example page trains, draws the loss and lets the model write",
  async () => {
    const root = fileURLToPath(new URL("../../", import.meta.url));
    execFileSync(process.execPath, [join(root, "examples/page/build.mjs"), join(folder, "example")], { cwd: folder });
    const page = await openPage("/example/?device=webgpu:software");
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    await page.click("#train");
    await page.waitForSelector("#state[data-kind=done], #state[data-kind=fault]", { timeout: patience });
    const state = (await page.textContent("#state")) ?? "";
    expect(state).toMatch(/^Trained on webgpu:software, .*: loss [1-4]\.\d{3}$/);
    const curve = (await page.getAttribute("#loss polyline", "points")) ?? "";
    expect(curve.split(" ")).toHaveLength(20);
    const heights = curve.split(" ").map((place) => Number(place.split(",")[1]));
    // Downwards on the screen is a smaller loss.
    expect(heights[19]).toBeGreaterThan(heights[0] + 50);
    expect((await page.textContent("#text"))?.length).toBeGreaterThan(60);
    await page.fill("#prompt", "We ");
    await page.click("#write");
    await page.waitForSelector("#write:enabled");
    expect(await page.textContent("#text")).toMatch(/^We ./s);
    expect(errors).toEqual([]);
    await page.close();
  },
  patience,
);
