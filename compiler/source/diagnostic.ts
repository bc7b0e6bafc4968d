// What is wrong with the user's input (Diagnostic, collected) and what is wrong with mspec (invariant, thrown).
// Owns no sentence: those live in messages/<area>.ts.

import type { Place } from "./text.ts";

/** One thing wrong with the user's input: claim, place, arithmetic, way out. */
export interface Diagnostic {
  /** `area/what-is-wrong`. */
  readonly code: string;
  readonly severity: "error" | "warning";
  /** What is wrong, as one sentence that starts in lower case and ends without a full stop. */
  readonly claim: string;
  readonly place?: Place;
  /** A few words printed behind the caret. */
  readonly label?: string;
  /** Other places that take part in the fault, each with the words behind its caret. */
  readonly related?: readonly { readonly place: Place; readonly label: string }[];
  /** The arithmetic: one line each. */
  readonly details?: readonly string[];
  /** The way out, as an imperative sentence. */
  readonly help?: string;
}

/** Carries every diagnostic of a failed stage to the CLI. */
export class DiagnosticError extends Error {
  readonly diagnostics: readonly Diagnostic[];

  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map((d) => `${d.code}: ${d.claim}`).join("\n"));
    this.name = "DiagnosticError";
    this.diagnostics = diagnostics;
  }
}

/** Collects diagnostics so that one run reports every independent fault. */
export class Diagnostics {
  readonly #list: Diagnostic[] = [];

  add(diagnostic: Diagnostic): void {
    this.#list.push(diagnostic);
  }

  get all(): readonly Diagnostic[] {
    return this.#list;
  }

  get hasErrors(): boolean {
    return this.#list.some((d) => d.severity === "error");
  }

  /** Throws what was collected if any of it is an error. */
  throwIfErrors(): void {
    if (this.hasErrors) throw new DiagnosticError(this.#list);
  }
}

/** mspec contradicts itself: never the user's fault. `path` is the operation or key that was being worked on. */
export class InvariantError extends Error {
  readonly path: string | undefined;

  constructor(message: string, path?: string) {
    super(path === undefined ? message : `${path}: ${message}`);
    this.name = "InvariantError";
    this.path = path;
  }
}

export function invariant(condition: unknown, message: string, path?: string): asserts condition {
  if (!condition) throw new InvariantError(message, path);
}
