// The header of a kernel: provenance that does not churn. No date, version, path of a machine or line number.

import type { Kernel, Use } from "../kernels/plan.ts";
import { rangeOf } from "../spec/ranges.ts";
import { commentText } from "./comment.ts";

/** `layers[0..3].ffn.up dgrad (model.ffn)`: uses that differ in the layer are one line. */
function useLines(uses: readonly Use[]): string[] {
  const layers = new Map<string, Set<number>>();
  for (const { path, direction, key } of uses) {
    const line = `${path.replace(/\[\d+\]/, "[*]")} ${direction} (${key})`;
    const own = layers.get(line) ?? new Set();
    const [, index] = /\[(\d+)\]/.exec(path) ?? [];
    layers.set(line, index === undefined ? own : own.add(Number(index)));
  }
  return [...layers].map(([line, own]) => line.replace("*", rangeOf([...own].sort((a, b) => a - b)))).sort();
}

const distinct = (lines: readonly string[]): string[] => [...new Set(lines)].sort();

/** Lines of a comment, each behind `mark`. */
export function headerText(
  kernel: Kernel,
  uses: readonly Use[],
  spec: string,
  { target, extension, mark }: { readonly target: string; readonly extension: string; readonly mark: string },
): string {
  const { name, summary, formula, source, count, tile } = kernel.facts;
  const counted = count === undefined ? [] : [{ name: "count", description: count }];
  const operands = [...kernel.facts.operands, ...counted];
  const width = Math.max(...operands.map((operand) => operand.name.length));
  const block = (title: string, lines: readonly string[]): string[] =>
    lines.map((line, i) => `${(i === 0 ? `${title}:` : "").padEnd(10)}${line}`);
  const lines = [
    `${name}: ${summary}`,
    "",
    ...block("formula", [formula]),
    ...block("source", [source]),
    ...block(
      "operands",
      operands.map((o) => `${o.name.padEnd(width)}  ${o.description}`),
    ),
    ...block("tile", [tile]),
    ...block("chosen", distinct(uses.map((use) => use.because))),
    ...block("used by", useLines(uses)),
    ...block("spec", [spec]),
    ...block("template", [`templates/${target}/${kernel.template}.${extension}.hbs`]),
  ];
  return lines.map((line) => `${mark} ${commentText(line)}`.trimEnd()).join("\n");
}
