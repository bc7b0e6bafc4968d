// A small corpus, models that train on it, and fingerprints of what they become.

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Model } from "../../runtime/model.ts";
import type { StepReport, TrainOptions, TrainResult } from "../../runtime/train/options.ts";
import { generator } from "../ops/case-parts.ts";
import { openTiny, tinySpec } from "../runtime/tiny-model.ts";

const words = "the of and to in a that we people states congress peace war law year must great our will new".split(" ");

/** So many documents of a few hundred characters, the same every time. */
export function documents(count: number): string[] {
  const random = generator(17);
  const word = () => words[Math.floor(((random() + 1) / 2) * words.length * 0.9999)];
  return Array.from({ length: count }, () => `${Array.from({ length: 60 }, word).join(" ")}.\n`);
}

/** A folder with the files a.txt, b.txt, … of a corpus. */
export async function makeCorpus(count = 12): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "mspec-train-"));
  for (const [i, text] of documents(count).entries()) {
    await writeFile(join(folder, `${String.fromCharCode(97 + i)}.txt`), text);
  }
  await mkdir(join(folder, "runs"));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** FNV-1a over the bits of all parameters and moments, and the optimiser's scalars. */
export async function stateHash(model: Model): Promise<string> {
  const moments = model.manifest.parameters.flatMap((parameter) => parameter.moments ?? []);
  const scalars = ["correction1", "correction2", "skipped"].map((name) => `optimizer.${name}`);
  let hash = 0x811c9dc5;
  for (const name of [...model.parameterNames, ...moments, ...scalars]) {
    const values = await model.device.read(name);
    for (const byte of new Uint8Array(values.buffer)) hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return (hash >>> 0).toString(16);
}

export interface TrainedRun {
  readonly hash: string;
  readonly result: TrainResult;
  readonly reports: readonly StepReport[];
  readonly warnings: readonly string[];
}

/** Opens the tiny model and trains it. */
export async function trainTiny(
  options: TrainOptions,
  { overrides = [], threads = 1 }: { overrides?: readonly string[]; threads?: number } = {},
): Promise<TrainedRun> {
  const model = await openTiny(tinySpec, overrides, { threads });
  const reports: StepReport[] = [];
  const warnings: string[] = [];
  const { observer } = options;
  try {
    const result = await model.train({
      ...options,
      observer: {
        ...observer,
        onStep: (report) => {
          reports.push(report);
          observer?.onStep?.(report);
        },
        onWarning: (sentence) => void warnings.push(sentence),
      },
    });
    return { hash: await stateHash(model), result, reports, warnings };
  } finally {
    await model.close();
  }
}

/** The lines of a run's metrics without what a clock decides. */
export async function metricsOf(folder: string): Promise<string[]> {
  const text = await readFile(join(folder, "metrics.jsonl"), "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/,"tokens_per_second":\d+/, ""));
}
