// The kernels of every op on one small case, in WAT and WGSL side by side: one file per op; `npm run golden` accepts a change.

import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { kernelTexts, renderKernels } from "../../compiler/emit/kernel-files.ts";
import { elementCount } from "../../compiler/graph/types.ts";
import { planTarget } from "../../compiler/kernels/program.ts";
import { type TargetId, targetIds, targets } from "../../compiler/kernels/targets.ts";
import { ops } from "../../compiler/ops/index.ts";
import { type CaseGraph, graphsOf } from "../ops/case-graphs.ts";
import type { OpCase } from "../ops/case-parts.ts";
import { opCases } from "../ops/cases.ts";

/** Large enough to have whole vectors, tiles and a rest, small enough to be read. */
const typical = { least: 150, most: 5000 };

/** The first case of typical size, or the largest of an op that has none. */
function caseOf(cases: readonly OpCase[]): OpCase {
  const sizeOf = ({ inputs }: OpCase) => Math.max(...inputs.map(({ type }) => elementCount(type)));
  const found = cases.find((c) => sizeOf(c) >= typical.least && sizeOf(c) <= typical.most);
  return found ?? cases.reduce((largest, c) => (sizeOf(c) > sizeOf(largest) ? c : largest));
}

const byOp = new Map<string, OpCase[]>();
for (const c of opCases) byOp.set(c.op, [...(byOp.get(c.op) ?? []), c]);

function kernelsOf(graphs: readonly CaseGraph[], id: TargetId): Map<string, string> {
  const target = targets[id];
  const tileOf = () => ({ tile: target.defaultTile, key: undefined });
  const plan = planTarget({ target, graphs: graphs.map(({ graph }) => graph), updates: new Set(), tileOf });
  return new Map(kernelTexts(renderKernels(plan, "case").files).map(({ file, text }) => [file, text]));
}

/** Every target's kernels; of wgsl-soft those that are not as for other adapters. */
function sections(op: string): string {
  const graphs = graphsOf(caseOf(byOp.get(op) ?? []), 0, "case");
  const seen = new Set<string>();
  const texts: string[] = [];
  for (const id of targetIds) {
    for (const [file, text] of kernelsOf(graphs, id)) {
      if (seen.has(text)) continue;
      seen.add(text);
      texts.push(`${"=".repeat(16)} ${file}\n${text}`);
    }
  }
  return texts.join("\n");
}

const files = new URL("ops/", import.meta.url);

test.each([...byOp.keys()])("%s: its kernels are as they were", async (op) => {
  await expect(sections(op)).toMatchFileSnapshot(new URL(`${op}.txt`, files).pathname);
});

test("every op with kernels has its golden, and there are no others", () => {
  expect(byOp.size).toBeGreaterThan(30);
  expect([...byOp.keys()].every((op) => ops.has(op))).toBe(true);
  expect(readdirSync(files).sort()).toEqual([...byOp.keys()].map((op) => `${op}.txt`).sort());
});
