// What goes wrong at run time and is not mspec's fault: the user's input (exit 2) or the environment (exit 3).

export interface FaultParts {
  /** `area/what-is-wrong`. */
  readonly code: string;
  readonly kind: "input" | "environment";
  /** What is wrong, as one sentence that starts in lower case and ends without a full stop. */
  readonly claim: string;
  /** The file, `file:line`, or device it is about. */
  readonly at?: string;
  /** The arithmetic: one line each. */
  readonly details?: readonly string[];
  /** The way out, as an imperative sentence. */
  readonly help?: string;
  readonly cause?: unknown;
}

/** Carries one fault to whoever reports it; its message is complete without a stack. */
export class Fault extends Error {
  readonly code: string;
  readonly kind: "input" | "environment";
  readonly claim: string;
  readonly at: string | undefined;
  readonly details: readonly string[];
  readonly help: string | undefined;

  constructor(parts: FaultParts) {
    const lines = [`${parts.code}: ${parts.claim}`];
    if (parts.at !== undefined) lines.push(`  ${parts.at}`);
    for (const detail of parts.details ?? []) lines.push(`  ${detail}`);
    if (parts.help !== undefined) lines.push(parts.help);
    super(lines.join("\n"), parts.cause === undefined ? undefined : { cause: parts.cause });
    this.name = "Fault";
    this.code = parts.code;
    this.kind = parts.kind;
    this.claim = parts.claim;
    this.at = parts.at;
    this.details = parts.details ?? [];
    this.help = parts.help;
  }
}
