// The header of a kernel: provenance that does not churn. No date, version, path of a machine or line number.

import type { KernelFacts } from "../../kernels/plan.ts";
import { commentText } from "../comment.ts";

export interface HeaderView {
  readonly lines: readonly string[];
}

export function headerView(facts: KernelFacts): HeaderView {
  const width = Math.max(...facts.operands.map((operand) => operand.name.length));
  return {
    lines: [
      `${facts.name}: ${facts.summary}`,
      "",
      `formula:  ${facts.formula}`,
      `source:   ${facts.source}`,
      ...facts.operands.map(
        (o, i) => `${i === 0 ? "operands: " : "          "}${o.name.padEnd(width)}  ${o.description}`,
      ),
      `tile:     ${facts.tile}`,
      `chosen:   ${facts.because}`,
      `spec key: ${facts.key}`,
    ].map(commentText),
  };
}
