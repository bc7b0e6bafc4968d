// What a checkpoint holds of a run besides its tensors, as JSON and back.

import type { FileFingerprint } from "../data/documents.ts";
import type { JsonValue } from "../files/save-checkpoint.ts";

/** Everything that decides how a run goes on; random numbers need no state of their own. */
export interface RunState {
  /** Steps made. */
  readonly step: number;
  /** Tokens and sequences seen. */
  readonly tokens: number;
  readonly sequences: number;
  readonly skippedInARow: number;
  /** Scalars of the optimiser, exactly. */
  readonly correction1: number;
  readonly correction2: number;
  readonly skipped: number;
  /** SHA-256 of what must not change under a run. */
  readonly spec: string;
  /** What the kernels were compiled for. */
  readonly target: string;
  readonly kernels: string;
  /** Empty where there is none. */
  readonly tokenizer: string;
  readonly order: string;
  readonly files: readonly FileFingerprint[];
}

const numbers = ["step", "tokens", "sequences", "skippedInARow", "correction1", "correction2", "skipped"] as const;
const texts = ["spec", "target", "kernels", "tokenizer", "order"] as const;

export function encodeState(state: RunState): JsonValue {
  return { ...state, files: state.files.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 })) };
}

/** The state, or the names of what is missing or of another kind. */
export function decodeState(value: unknown): RunState | readonly string[] {
  const given = typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  // Checkpoints from before there was another one do not say it.
  const state: Readonly<Record<string, unknown>> = { target: "wasm", ...given };
  const missing = [
    ...numbers.filter((name) => !Number.isFinite(state[name])),
    ...texts.filter((name) => typeof state[name] !== "string"),
    ...(Array.isArray(state.files) && state.files.every(isFingerprint) ? [] : ["files"]),
  ];
  return missing.length > 0 ? missing : (state as unknown as RunState);
}

function isFingerprint(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { path, bytes, sha256 } = value as Readonly<Record<string, unknown>>;
  return typeof path === "string" && Number.isSafeInteger(bytes) && typeof sha256 === "string";
}
