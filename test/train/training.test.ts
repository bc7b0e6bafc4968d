// Training as a whole: it learns, its bits follow from spec and data alone, and a run that stops goes on as if it had not.

import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { trainBpe } from "../../runtime/data/bpe.ts";
import { openRun } from "../../runtime/open-run.ts";
import { openTiny, tinySpec } from "../runtime/tiny-model.ts";
import { documents, makeCorpus, metricsOf, stateHash, trainTiny } from "./run-setup.ts";

let base: string;
let remove: () => Promise<void>;
beforeAll(async () => {
  const corpus = await makeCorpus();
  base = corpus.folder;
  remove = corpus.remove;
});
afterAll(async () => {
  await remove();
});

const run = (name: string): string => join(base, "runs", name);

describe("a run without a folder", () => {
  it("learns: the loss falls from that of guessing to far below", async () => {
    const { reports, result } = await trainTiny({ base }, { overrides: ["train.steps=60", "train.batch.sequences=8"] });
    // ln 259 = 5.557: a fresh model guesses.
    expect(reports[0].loss).toBeGreaterThan(5.4);
    expect(reports[0].loss).toBeLessThan(5.7);
    expect(result.loss).toBeLessThan(3.2);
    expect(result.validationLoss).toBeLessThan(3.2);
    expect(result.skipped).toBe(0);
  });

  it("learns in bf16 what it learns in f32: the loss differs by less than that of other seeds", async () => {
    const size = ["train.steps=60", "train.batch.sequences=8"];
    const lossOf = async (...overrides: string[]) => {
      const { result } = await trainTiny({ base }, { overrides: [...size, ...overrides] });
      return result.validationLoss ?? Number.NaN;
    };
    const seeds = [await lossOf(), await lossOf("train.seed=6"), await lossOf("train.seed=7")];
    const spread = Math.max(...seeds) - Math.min(...seeds);
    const narrow = await lossOf("precision=[bf16]");
    expect(narrow).not.toBe(seeds[0]);
    expect(Math.abs(narrow - seeds[0])).toBeLessThan(spread);
  });

  it("gives the same bits in bf16 for 1, 2 and 3 threads", async () => {
    const hashes = [];
    for (const threads of [1, 2, 3]) {
      hashes.push((await trainTiny({ base }, { threads, overrides: ["precision=[bf16]"] })).hash);
    }
    expect(new Set(hashes).size).toBe(1);
  });

  it("reports each step's schedule values and counts", async () => {
    const { reports, result } = await trainTiny({ base });
    expect(reports.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(reports.map(({ sequences }) => sequences)).toEqual([4, 4, 6, 6, 8, 8, 8, 8]);
    expect(reports.map(({ tokens }) => tokens / 24)).toEqual([4, 8, 14, 20, 28, 36, 44, 52]);
    expect(reports[2].learningRate).toBeCloseTo(1e-2, 12);
    expect(reports.at(-1)?.learningRate).toBeLessThan(3e-3);
    expect(reports.at(-1)?.validationLoss).toBe(result.validationLoss);
    expect(result).toMatchObject({ steps: 8, tokens: 52 * 24, isStopped: false, checkpoint: undefined });
  });

  it("gives the same bits for 1, 2, 3 and 8 threads", async () => {
    const hashes = [];
    for (const threads of [1, 2, 3, 8]) hashes.push((await trainTiny({ base }, { threads })).hash);
    expect(new Set(hashes).size).toBe(1);
    expect((await trainTiny({ base }, { overrides: ["train.seed=6"] })).hash).not.toBe(hashes[0]);
  });

  it("measures the loss that its logits give", async () => {
    const model = await openTiny();
    await model.train({ base });
    const text = documents(1)[0].slice(0, 40);
    const { loss, tokens } = await model.evaluate([text]);
    // Windows of 24 tokens begin anew, so each is one sequence of its own.
    const ids = [...model.tokenizer.encode(text)];
    let sum = 0;
    for (let start = 0; start + 1 < ids.length; start += 24) {
      const window = ids.slice(start, Math.min(start + 24, ids.length - 1));
      const logits = await model.logits(window);
      window.forEach((_, i) => {
        const row = logits.subarray(i * 259, (i + 1) * 259);
        const total = row.reduce((all, logit) => all + Math.exp(logit), 0);
        sum += Math.log(total) - row[ids[start + i + 1]];
      });
    }
    expect(tokens).toBe(39);
    expect(loss).toBeCloseTo(sum / 39, 5);
    await model.close();
  });

  it("trains on the sequences of an order file", async () => {
    const path = join(base, "order.json");
    const offsets = Array.from({ length: 8 }, (_, step) => [7 * step, 100 + step, 11, 900]);
    await writeFile(path, JSON.stringify(offsets));
    const first = await trainTiny({ base, order: path });
    expect(first.reports.map(({ sequences }) => sequences)).toEqual([4, 4, 4, 4, 4, 4, 4, 4]);
    expect((await trainTiny({ base, order: path })).hash).toBe(first.hash);
    await writeFile(path, JSON.stringify(offsets.with(3, [1, 2, 3, 4])));
    expect((await trainTiny({ base, order: path })).hash).not.toBe(first.hash);
  });

  it("refuses an order file that does not last or is not whole before the first step", async () => {
    const path = join(base, "bad-order.json");
    const offsets = Array.from({ length: 8 }, () => [7, 100, 11, 900]);
    const onStep = () => expect.unreachable("a step was made");
    await writeFile(path, JSON.stringify(offsets.with(7, [1, 2, 3])));
    await expect(trainTiny({ base, order: path, observer: { onStep } })).rejects.toThrow(
      /step 7\n {2}it has 3 sequences; train\.batch\.micro is 2/,
    );
    await writeFile(path, JSON.stringify(offsets.slice(0, 7)));
    await expect(trainTiny({ base, order: path, observer: { onStep } })).rejects.toThrow(
      /data\/order-too-short.*no step 7/,
    );
  });
});

describe("a run folder", () => {
  const overrides = ["train.save_every=3", "train.evaluate_every=2", "train.sample_every=4"];

  it("holds spec, compiled model, metrics, samples, checkpoints and a report that needs nothing else", async () => {
    const { result, hash } = await trainTiny({ base, folder: run("whole") }, { overrides });
    expect((await readdir(run("whole"))).toSorted()).toEqual([
      "checkpoints",
      "compiled",
      "metrics.jsonl",
      "report.html",
      "samples",
      "spec.yaml",
    ]);
    expect(await readFile(join(run("whole"), "spec.yaml"), "utf8")).toContain("save_every: 3");
    expect((await readdir(join(run("whole"), "checkpoints"))).toSorted()).toEqual([
      "step-000003",
      "step-000006",
      "step-000008",
    ]);
    expect((await readdir(join(run("whole"), "samples"))).toSorted()).toEqual(["step-000004.txt", "step-000008.txt"]);
    expect(result.checkpoint).toBe(join(run("whole"), "checkpoints", "step-000008"));
    const lines = (await metricsOf(run("whole"))).map((line) => JSON.parse(line));
    expect(lines.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(lines.filter((line) => "validation_loss" in line).map(({ step }) => step)).toEqual([2, 4, 6, 8]);
    const report = await readFile(join(run("whole"), "report.html"), "utf8");
    expect(report).toContain("uPlot");
    expect(report).toContain("step 8");
    expect(report).not.toMatch(/(src|href)="?http/);
    const opened = await openRun(run("whole"), { threads: 1 });
    expect(opened.step).toBe(8);
    expect(await parameterBits(opened.model)).toBe(await parameterBitsAfter(hash));
    await opened.model.close();
  });

  /** Of a model that was trained in memory to the same state. */
  async function parameterBitsAfter(hash: string): Promise<string> {
    const model = await openTiny(tinySpec, overrides);
    await model.train({ base });
    expect(await stateHash(model)).toBe(hash);
    const bits = await parameterBits(model);
    await model.close();
    return bits;
  }

  it("resumes to the bits, metrics and samples of a run that was never stopped", async () => {
    const straight = await trainTiny({ base, folder: run("straight") }, { overrides });
    const controller = new AbortController();
    const observer = { onStep: ({ step }: { step: number }) => void (step === 5 && controller.abort()) };
    const folder = run("stopped");
    const stopped = await trainTiny({ base, folder, signal: controller.signal, observer }, { overrides });
    expect(stopped.result).toMatchObject({ steps: 5, isStopped: true });
    expect(stopped.result.checkpoint).toContain("step-000005");
    const resumed = await trainTiny({ base, folder, resume: true }, { overrides, threads: 3 });
    expect(resumed.reports.map(({ step }) => step)).toEqual([6, 7, 8]);
    expect(resumed.hash).toBe(straight.hash);
    expect(await metricsOf(folder)).toEqual(await metricsOf(run("straight")));
    for (const file of await readdir(join(run("straight"), "samples"))) {
      const [expected, got] = await Promise.all(
        ["straight", "stopped"].map((name) => readFile(join(run(name), "samples", file), "utf8")),
      );
      expect(got).toBe(expected);
    }
  });

  it("resumes behind the last checkpoint when later steps were lost, and their metrics are cut", async () => {
    const folder = run("lost");
    const observer = {
      onStep: ({ step }: { step: number }) => {
        if (step === 5) throw new Error("the power fails");
      },
    };
    await expect(trainTiny({ base, folder, observer }, { overrides })).rejects.toThrow("the power fails");
    expect((await metricsOf(folder)).length).toBe(4);
    const resumed = await trainTiny({ base, folder, resume: true }, { overrides });
    expect(resumed.reports.map(({ step }) => step)).toEqual([4, 5, 6, 7, 8]);
    expect(await metricsOf(folder)).toEqual(await metricsOf(run("straight")));
  });

  it("of a finished run resumes to nothing more to do", async () => {
    const { result, reports } = await trainTiny({ base, folder: run("straight"), resume: true }, { overrides });
    expect(reports).toEqual([]);
    expect(result).toMatchObject({ steps: 8, isStopped: false });
  });

  it("with another tokenizer in its place is not opened", async () => {
    const folder = run("swapped");
    await cp(run("straight"), folder, { recursive: true });
    await (await openRun(folder, { threads: 1 })).model.close();
    await writeFile(join(folder, "tokenizer.json"), trainBpe(new Map([["abab", 5]]), 258).json);
    await expect(openRun(folder, { threads: 1 })).rejects.toThrow(
      /train\/tokenizer-changed: the tokenizer is not the one/,
    );
  });

  it("is told from a folder without a run", async () => {
    const path = join(base, "a.txt");
    for (const folder of [base, path, join(base, "nowhere")]) {
      await expect(openRun(folder, { threads: 1 })).rejects.toMatchObject({ code: "train/no-run", kind: "input" });
    }
  });

  it("takes a new run only when it has no checkpoint", async () => {
    await expect(trainTiny({ base, folder: run("straight") }, { overrides })).rejects.toThrow(
      /train\/run-exists.*newest checkpoint is of step 8.*--resume/s,
    );
  });

  async function parameterBits(model: Awaited<ReturnType<typeof openTiny>>): Promise<string> {
    const all = await Promise.all(model.parameterNames.map((name) => model.parameter(name)));
    return Buffer.concat(all.map((values) => Buffer.from(values.buffer))).toString("base64");
  }
});

describe("resuming is refused", () => {
  const folder = () => run("refused");
  const overrides = ["train.save_every=4"];
  beforeAll(async () => {
    await trainTiny({ base, folder: folder() }, { overrides });
  });
  const resume = (more: readonly string[] = [], options = {}) =>
    trainTiny({ base, folder: folder(), resume: true, ...options }, { overrides: [...overrides, ...more] });

  it("with every changed field when the spec differs (F4)", async () => {
    const error = String(await resume(["train.seed=9", "model.ffn.intermediate=32"]).catch((e: unknown) => e));
    expect(error).toContain("train/spec-changed");
    expect(error).toContain("train.seed was 5 and is 9");
    expect(error).toContain("model.ffn.intermediate was 28 and is 32");
    expect(error.match(/ was /g)?.length).toBe(2);
    expect(error).toContain("--weights");
  });

  it("when the data differs (E4)", async () => {
    const path = join(base, "b.txt");
    const text = await readFile(path, "utf8");
    await writeFile(path, `${text}more`);
    await expect(resume()).rejects.toThrow(/data\/files-changed.*b\.txt has \d+ bytes; it had/s);
    await writeFile(path, text);
    await expect(resume()).resolves.toMatchObject({ result: { steps: 8 } });
  });

  it("when another order is given", async () => {
    const order = join(base, "another.json");
    await writeFile(order, JSON.stringify(Array.from({ length: 8 }, () => [1, 2])));
    await expect(resume([], { order })).rejects.toThrow(/train\/order-changed/);
  });

  it("when the folder has no checkpoint (F1)", async () => {
    await expect(trainTiny({ base, folder: run("none"), resume: true })).rejects.toThrow(/train\/nothing-to-resume/);
  });

  it("when the optimiser's state is missing, and offers the weights (F3)", async () => {
    const checkpoints = join(folder(), "checkpoints");
    await rm(join(checkpoints, "step-000004"), { recursive: true });
    const manifestPath = join(checkpoints, "step-000008", "checkpoint.json");
    const manifest = JSON.parse(await readFile(manifestPath, "utf8"));
    const without = { ...manifest, files: manifest.files.filter(({ name }: { name: string }) => !/opt/.test(name)) };
    await writeFile(manifestPath, `${JSON.stringify(without, undefined, 2)}\n`);
    await expect(resume()).rejects.toThrow(/checkpoint has no optimizer\.safetensors.*--weights/s);
  });
});
