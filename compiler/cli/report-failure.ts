// What a failure looks like to the user: one message, one exit code, and never a bare stack.

import { mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommanderError } from "commander";
import { Fault } from "../../runtime/fault.ts";
import { DiagnosticError, InvariantError } from "../source/diagnostic.ts";
import { formatDiagnostics } from "../source/format-diagnostics.ts";
import * as say from "../source/messages/cli.ts";
import { packageVersion } from "../source/package-root.ts";
import { isColored } from "./spec-flags.ts";
import { debugLevel } from "./stage-times.ts";

/** 1, which is not here, means that a comparison failed; the verb that compares sets it. */
export const exitCodes = { done: 0, input: 2, environment: 3, internal: 70 } as const;

/** Prints what went wrong and returns the exit code. */
export function reportFailure(error: unknown, argv: readonly string[]): number {
  if (error instanceof CommanderError) return reportUsage(error, argv);
  if (error instanceof DiagnosticError) {
    print(formatDiagnostics(error.diagnostics, { color: isColored() }));
    return exitCodes.input;
  }
  if (error instanceof Fault) {
    print(error.message);
    return error.kind === "input" ? exitCodes.input : exitCodes.environment;
  }
  print(say.internalFault(messageOf(error), packageVersion(), writeRepro(error, argv)));
  if (debugLevel() >= 1 && error instanceof Error) print(error.stack ?? "");
  return exitCodes.internal;
}

const print = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

/** Commander ends with an error after it has printed help or the version, too. */
function reportUsage({ code, message }: CommanderError, argv: readonly string[]): number {
  if (code === "commander.helpDisplayed" || code === "commander.version") return exitCodes.done;
  if (code !== "commander.help") print(say.usage(code.replace(/^commander\./, ""), message, verbOf(argv)));
  return exitCodes.input;
}

/** The words that `--help` goes behind: `tokenizer` alone of all verbs has verbs of its own. */
function verbOf([verb, second]: readonly string[]): string | undefined {
  return verb === "tokenizer" && second === "train" ? "tokenizer train" : verb;
}

function messageOf(error: unknown): string {
  if (error instanceof InvariantError) return error.message;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

const mostReproBytes = 2 ** 20;

/** Everything that is needed to see the fault again: the command, its files, the stack. Undefined if it cannot be written. */
function writeRepro(error: unknown, argv: readonly string[]): string | undefined {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const parts = [
    `mspec ${packageVersion()}, Node ${process.version}, ${process.platform} ${process.arch}`,
    `mspec ${argv.map((word) => JSON.stringify(word)).join(" ")}`,
    stack,
    ...argv.flatMap((word) => {
      const text = smallFile(word);
      return text === undefined ? [] : [`--- ${word}\n${text}`];
    }),
  ];
  try {
    const file = join(mkdtempSync(join(tmpdir(), "mspec-fault-")), "repro.txt");
    writeFileSync(file, `${parts.join("\n\n")}\n`);
    return file;
  } catch {
    return undefined;
  }
}

function smallFile(path: string): string | undefined {
  try {
    const status = statSync(path);
    return status.isFile() && status.size <= mostReproBytes ? readFileSync(path, "utf8") : undefined;
  } catch {
    return undefined;
  }
}
