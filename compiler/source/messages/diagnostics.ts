// Sentences about diagnostics themselves.

import type { Diagnostic } from "../diagnostic.ts";

/** Says how many were left out. */
export function andMore(hidden: readonly Diagnostic[]): string {
  const numErrors = hidden.filter(({ severity }) => severity === "error").length;
  const numWarnings = hidden.length - numErrors;
  const counts = [count(numErrors, "error"), count(numWarnings, "warning")].filter((text) => text !== "");
  return `and ${counts.join(" and ")} more`;
}

function count(number: number, word: string): string {
  return number === 0 ? "" : `${number} ${word}${number === 1 ? "" : "s"}`;
}
