// What a person is told before training: parameters by part, work per token, memory by class, the device and why.

import Table from "cli-table3";
import type { Model } from "../../runtime/model.ts";
import * as say from "../source/messages/train.ts";
import type { Spec } from "../spec/spec.ts";
import { parametersByPart, trainingFlops } from "./model-facts.ts";

/** Columns with two spaces between them and no lines. */
const plain = { chars: Object.fromEntries(borders().map((name) => [name, ""])), style: { head: [], border: [] } };

function borders(): string[] {
  const edges = ["top", "bottom", "left", "right"].flatMap((side) => [side, `${side}-mid`, `${side}-left`]);
  return [...edges, "top-right", "bottom-right", "mid", "left-mid", "mid-mid", "right-mid", "middle"];
}

export function printFacts(spec: Spec, model: Model, because: string): void {
  const { manifest, device } = model;
  const flops = trainingFlops(spec, manifest);
  const parts = parametersByPart(manifest).map(({ part, parameters }) => [part, say.count(parameters)] as const);
  const memory = Object.entries(manifest.arenas).map(([name, bytes]) => [name, say.memoryClass(bytes)] as const);
  const lines = [
    table(`${spec.name}: parameters`, [...parts, ["all", say.count(flops.parameters)]]),
    say.flopsPerToken(flops),
    table("memory", memory),
    say.deviceLine(device.description, device.memoryBytes, because),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

function table(title: string, rows: readonly (readonly [string, string])[]): string {
  const cells = new Table({ ...plain, colAligns: ["left", "right"] });
  cells.push(...rows.map(([name, value]) => [`  ${name}`, value]));
  return `${title}\n${cells.toString()}`;
}
