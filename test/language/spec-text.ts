// A small spec for tests, and what reading a variant of it gives.

import { buildPrograms } from "../../compiler/compile.ts";
import { type Diagnostic, DiagnosticError } from "../../compiler/source/diagnostic.ts";
import { SourceText } from "../../compiler/source/text.ts";
import { readSpec, type SpecReading } from "../../compiler/spec/read.ts";
import type { Spec } from "../../compiler/spec/spec.ts";
import { faultLine } from "./read-text.ts";

/** Valid, with the keys that must be given and a training section; tests replace parts of it. */
export const smallSpec = `mspec: 1
name: small
model:
  vocab: 300
  context: 64
  width: 48
  layers: 4
  attention: { kind: gqa, heads: 4 }
  ffn: { kind: dense, intermediate: 96 }
train:
  batch: { sequences: 8 }
  steps: 100
  lr: 1e-3
`;

/** The small spec with a part of its text replaced; it must be there. */
export function smallSpecWith(...replacements: readonly (readonly [part: string, by: string])[]): string {
  return replacements.reduce((text, [part, by]) => {
    if (!text.includes(part)) throw new Error(`the small spec has no ${part}`);
    return text.replace(part, () => by);
  }, smallSpec);
}

export function readSpecText(text: string, overrides: readonly string[] = []): SpecReading {
  return readSpec(new SourceText("test.yaml", text), overrides);
}

/** All that is said of a spec up to its programs. */
export function said(text: string): readonly Diagnostic[] {
  const { spec, diagnostics } = readSpecText(text);
  if (spec === undefined) return diagnostics;
  try {
    return [...diagnostics, ...buildPrograms(spec).warnings];
  } catch (error) {
    if (error instanceof DiagnosticError) return error.diagnostics;
    throw error;
  }
}

/** `error 3:7 key/unknown` for each fault of a spec, in the order in which they were found. */
export function specFaults(text: string, overrides: readonly string[] = []): string[] {
  return readSpecText(text, overrides).diagnostics.map(faultLine);
}

/** The spec of a text without faults. */
export function specOf(text: string, overrides: readonly string[] = []): Spec {
  const { spec, diagnostics } = readSpecText(text, overrides);
  if (spec === undefined) throw new Error(diagnostics.map((d) => `${faultLine(d)}: ${d.claim}`).join("\n"));
  return spec;
}
