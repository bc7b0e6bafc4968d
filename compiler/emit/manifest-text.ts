// A manifest as text: what a person compares stands on one line each (a launch, a tensor, a kernel), the rest is unfolded.

import type { Manifest } from "../../runtime/contract.ts";

/** Paths, with `*` for an index or a name, of what is unfolded; everything else is one line. */
const unfolded: ReadonlySet<string> = new Set([
  "",
  ...["model", "training", "training.sequences", "training.sequences.pieces", "training.learningRate"],
  ...["training.learningRate.pieces", "training.clip", "training.clip.pieces", "serving", "data", "arenas"],
  ...["parameters", "tensors", "constants", "kernels", "programs", "programs.*"],
  ...["programs.*.waves", "programs.*.waves.*", "programs.*.tensors", "programs.*.results"],
]);

export const manifestText = (manifest: Manifest): string => `${textOf(manifest, "", "")}\n`;

function textOf(value: unknown, path: string, indent: string): string {
  if (typeof value !== "object" || value === null || !unfolded.has(path)) return JSON.stringify(value);
  const below = path === "" ? "" : `${path}.`;
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    const items: readonly unknown[] = value;
    const child = `${below}*`;
    return `[\n${items.map((item) => inner + textOf(item, child, inner)).join(",\n")}\n${indent}]`;
  }
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  if (entries.length === 0) return "{}";
  const lines = entries.map(([key, entry]) => `${inner}${JSON.stringify(key)}: ${textOf(entry, below + key, inner)}`);
  return `{\n${lines.join(",\n")}\n${indent}}`;
}
