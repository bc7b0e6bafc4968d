// The header of a kernel: provenance that does not churn. No date, version, path of a machine or line number.

import type { Kernel, Use } from "../kernels/plan.ts";
import { commentText } from "./comment.ts";

/** `path direction (key)` with layers as `layers[*]`: many launches are one line. */
function useLine({ path, direction, key }: Use): string {
  return `${path.replace(/\[\d+\]/g, "[*]")} ${direction} (${key})`;
}

const distinct = (lines: readonly string[]): string[] => [...new Set(lines)].sort();

/** Lines of a comment, each behind `mark`. */
export function headerText(
  kernel: Kernel,
  uses: readonly Use[],
  spec: string,
  extension: string,
  mark: string,
): string {
  const { name, summary, formula, source, operands, tile } = kernel.facts;
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
    ...block("used by", distinct(uses.map(useLine))),
    ...block("spec", [spec]),
    ...block("template", [`templates/wasm/${kernel.template}.${extension}.hbs`]),
  ];
  return lines.map((line) => `${mark} ${commentText(line)}`.trimEnd()).join("\n");
}
