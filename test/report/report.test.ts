// The page of a run: what a dense run's always was, and maps of a run with experts cell by cell.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { TrainingProgress } from "../../compiler/cli/training-progress.ts";
import type { MetricsRecord } from "../../runtime/files/metrics-log.ts";
import { renderReport } from "../../runtime/report/render-report.ts";
import { openTiny } from "../runtime/tiny-model.ts";
import { makeCorpus } from "../train/run-setup.ts";
import { denseContent } from "./report-content.ts";

const routers = ["layers[1].ffn.router", "layers[2].ffn.router"];

const reportOf = (metrics: readonly MetricsRecord[], paths = routers): string =>
  renderReport({ ...denseContent, metrics, routers: paths });

/** What cells say when they are pointed at, and their colours. */
const cellsOf = (page: string) =>
  [...page.matchAll(/fill="(#[0-9a-f]{6})"><title>([^<]*)<\/title>/g)].map(([, color, title]) => ({ color, title }));
const titlesOf = (page: string): string[] => cellsOf(page).map(({ title }) => title);

it("a dense run's page is byte for byte what it was before there were experts", async () => {
  expect(renderReport(denseContent)).toBe(await readFile(new URL("dense.html", import.meta.url), "utf8"));
});

describe("the map of MaxVio", () => {
  it("has a cell for each layer and step", () => {
    const page = reportOf([
      { step: 3, max_violation: 0.5, max_violation_by_layer: [0, 1] },
      { step: 4, max_violation: 2, max_violation_by_layer: [4, 0.04] },
    ]);
    expect(titlesOf(page)).toEqual([
      "layers[1].ffn.router, step 3: MaxVio 0.00",
      "layers[1].ffn.router, step 4: MaxVio 4.00",
      "layers[2].ffn.router, step 3: MaxVio 1.00",
      "layers[2].ffn.router, step 4: MaxVio 0.04",
    ]);
    const [balanced, worst, bad, good] = cellsOf(page).map(({ color }) => brightness(color));
    // Balanced has the scale's first colour, #fff5eb.
    expect(balanced).toBe(255 + 245 + 235);
    expect([balanced, good, bad, worst]).toEqual([balanced, good, bad, worst].toSorted((a, b) => b - a));
    expect(new Set([balanced, good, bad, worst]).size).toBe(4);
    expect(page).not.toContain("Loads of experts");
    expect(page).toContain("last MaxVio 2.00");
  });

  it("puts thousands of steps into columns by their mean, a ragged one last", () => {
    // 1201 steps from step 7 on: 11 in a column, 110 columns, and 2 steps in the last of them.
    const page = reportOf(
      Array.from({ length: 1201 }, (_, i) => ({
        step: 7 + i,
        max_violation: i % 11,
        max_violation_by_layer: [i % 11, i < 11 ? 0.25 : 0],
      })),
    );
    const titles = titlesOf(page);
    expect(titles.length).toBe(2 * 110);
    // The mean of 0 to 10; then the mean of 0 and 1.
    expect(titles[0]).toBe("layers[1].ffn.router, steps 7 to 17: MaxVio 5.00");
    expect(titles[109]).toBe("layers[1].ffn.router, steps 1206 to 1207: MaxVio 0.50");
    expect(titles.slice(110, 112)).toEqual([
      "layers[2].ffn.router, steps 7 to 17: MaxVio 0.25",
      "layers[2].ffn.router, steps 18 to 28: MaxVio 0.00",
    ]);
    expect(page).toContain("Each column is the mean of 11 steps.");
  });

  it("leaves blank what lines do not tell: steps from before, and values of another kind", () => {
    const page = reportOf([
      { step: 1, loss: 5 },
      { step: 2, max_violation: 0, max_violation_by_layer: [0, null] },
      { step: 3, max_violation: 0, max_violation_by_layer: "none" },
      { step: 4, max_violation: 0, max_violation_by_layer: [1, 2], loads: [1], losses: null },
    ]);
    expect(titlesOf(page).map((title) => title.replace(/^layers\[(\d)\].*step/, "$1:"))).toEqual([
      "1: 2: MaxVio 0.00",
      "1: 4: MaxVio 1.00",
      "2: 4: MaxVio 2.00",
    ]);
  });
});

describe("the map of loads", () => {
  it("is of the last step that tells them, with as many cells as each layer has experts", () => {
    const record = { max_violation: 0, max_violation_by_layer: [0, 0] };
    const page = reportOf([
      { step: 1, ...record, loads: { a: [9, 9] } },
      { step: 2, ...record, loads: { "layers[1].ffn.router": [0, 1, 2], "a<b": [1] } },
      { step: 3, ...record },
    ]);
    expect(page).toContain("Loads of experts at step 2");
    const cells = cellsOf(page).slice(6);
    expect(cells.map(({ title }) => title)).toEqual([
      "layers[1].ffn.router, expert 0: 0 of the mean load",
      "layers[1].ffn.router, expert 1: 1 of the mean load",
      "layers[1].ffn.router, expert 2: 2 of the mean load",
      "a&lt;b, expert 0: 1 of the mean load",
    ]);
    // Ends and middle of the scale, which is RdBu of ColorBrewer.
    expect(cells[0].color).toBe("#053061");
    expect([cells[1].color, cells[3].color]).toEqual(["#f7f7f7", "#f7f7f7"]);
    // 2 / (1 + 2) of the scale is two thirds of the way from #f7f7f7 to #d6604d.
    expect(cells[2].color).toBe("#e19286");
    expect(page).not.toContain("a<b");
  });
});

it("other losses have curves, each family on an axis of its own", () => {
  const losses = { "balance.sequence": 1.5, "balance.sequence.1": 1.25, "balance.z": 30, "mtp.0": 5, other: 2 };
  const page = reportOf([{ step: 1, losses }, { step: 2 }]);
  const charts: { title: string; curves: { label: string; points: unknown[] }[] }[] = JSON.parse(
    /const charts = (.*);\n/.exec(page)?.[1] ?? "",
  );
  const drawn = charts.map(({ curves }) => curves.map(({ label, points }) => [label, ...points]));
  expect(drawn.slice(1, 5)).toEqual([
    [["mtp.0", 5, null]],
    [
      ["balance.sequence", 1.5, null],
      ["balance.sequence.1", 1.25, null],
    ],
    [["balance.z", 30, null]],
    [["other", 2, null]],
  ]);
  expect(page).not.toContain("MaxVio");
});

it("a run with experts writes them into its report and its progress", async () => {
  const { folder: base, remove } = await makeCorpus(4);
  const model = await openTiny(
    tinyDense.replace(
      "ffn: { kind: dense, intermediate: 6 }",
      "ffn: { kind: moe, experts: 3, top_k: 1, intermediate: 6 }",
    ),
  );
  const lines: string[] = [];
  const output = { write: (line: string) => void lines.push(line) } as unknown as NodeJS.WritableStream;
  const folder = join(base, "runs", "experts");
  await model.train({ base, folder, observer: new TrainingProgress(output, folder) });
  await model.close();
  const page = await readFile(join(folder, "report.html"), "utf8");
  const metrics = (await readFile(join(folder, "metrics.jsonl"), "utf8")).trimEnd().split("\n");
  await remove();
  const last = JSON.parse(metrics[1]);
  const path = "layers[0].ffn.router";
  const violations = metrics.map((line) => JSON.parse(line).max_violation_by_layer[0].toFixed(2));
  expect(titlesOf(page)).toEqual([
    `${path}, step 1: MaxVio ${violations[0]}`,
    `${path}, step 2: MaxVio ${violations[1]}`,
    ...[0, 1, 2].map((expert) => `${path}, expert ${expert}: ${last.loads[path][expert]} of the mean load`),
  ]);
  // One router: the busiest of three experts has that much more than its share.
  // Shares are rounded to two decimals, MaxVio to four.
  expect(Math.abs(Math.max(...last.loads[path]) - 1 - last.max_violation)).toBeLessThan(0.0051);
  expect(lines.filter((line) => line.startsWith("step"))).toEqual([
    expect.stringContaining(`MaxVio ${violations[0]}`),
    expect.stringContaining(`MaxVio ${violations[1]}`),
  ]);
});

it("a dense run's progress says nothing of experts", async () => {
  const { folder: base, remove } = await makeCorpus(4);
  const model = await openTiny(tinyDense);
  const lines: string[] = [];
  const output = { write: (line: string) => void lines.push(line) } as unknown as NodeJS.WritableStream;
  await model.train({ base, observer: new TrainingProgress(output, "none") });
  await model.close();
  await remove();
  const steps = lines.filter((line) => line.startsWith("step"));
  expect(steps.length).toBe(2);
  for (const line of steps) {
    expect(line).toMatch(
      /^step \d\/2 {2}loss [\d.]+ {2}(validation [\d.]+ {2})?[\d,]+ tokens\/s {2}(done|0:\d\d left)\n$/,
    );
  }
});

const brightness = (color: string): number =>
  [1, 3, 5].reduce((sum, at) => sum + Number.parseInt(color.slice(at, at + 2), 16), 0);

const tinyDense = `mspec: 1
name: three
model:
  vocab: 259
  context: 8
  width: 8
  layers: 1
  attention: { kind: gqa, heads: 2, kv_heads: 1, head_dim: 4 }
  ffn: { kind: dense, intermediate: 6 }
data: { tokenizer: bytes, train: ["*.txt"] }
train: { sequence: 8, batch: { sequences: 2, micro: 2 }, steps: 2, lr: 1e-2 }
serve: { sequences: 2, tokens: 8 }
`;
