// Writes report.html into a run folder from what lies there.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import type { Manifest } from "../contract.ts";
import { stepOf } from "../files/checkpoint-folder.ts";
import { readMetrics } from "../files/metrics-log.ts";
import { type RunFolder, runNames } from "../train/run-folder.ts";
import { type ReportContent, renderReport } from "./render-report.ts";

export async function writeReport(folder: RunFolder, { name, training }: Manifest): Promise<void> {
  const content = {
    name,
    spec: (await folder.readText(runNames.spec)) ?? "",
    metrics: await readMetrics(folder.disk, `${folder.path}/${runNames.metrics}`),
    routers: training?.loads.map(({ path }) => path) ?? [],
    samples: await readSamples(folder),
    library: await chartLibrary(),
  };
  await folder.write(runNames.report, renderReport(content));
}

async function readSamples(folder: RunFolder): Promise<ReportContent["samples"]> {
  const samples: { step: number; text: string }[] = [];
  for (const name of await folder.list(runNames.samples)) {
    const step = stepOf(name.replace(/\.txt$/, ""));
    const text = step === undefined ? undefined : await folder.readText(`${runNames.samples}/${name}`);
    if (step !== undefined && text !== undefined) samples.push({ step, text });
  }
  return samples.toSorted((a, b) => a.step - b.step);
}

/** The package has no export for these files, so they are found by its folder. */
async function chartLibrary(): Promise<ReportContent["library"]> {
  const main = pathToFileURL(createRequire(import.meta.url).resolve("uplot"));
  const [script, style] = await Promise.all(
    ["uPlot.iife.min.js", "uPlot.min.css"].map((file) => readFile(new URL(file, main), "utf8")),
  );
  return { script, style };
}
