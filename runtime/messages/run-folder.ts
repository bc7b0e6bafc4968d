// Sentences about a run folder: who holds it, and its metrics.

import { Fault } from "../fault.ts";
import type { LockOwner } from "../files/run-lock.ts";

/** Another process works in the run folder, or may. */
export function runLocked(path: string, owner: LockOwner, isKnownAlive: boolean): Fault {
  return new Fault({
    code: "run/locked",
    kind: "environment",
    claim: isKnownAlive
      ? "another mspec works in this run folder"
      : "another machine or container may be working in this run folder",
    at: path,
    details: [`process ${owner.pid} on ${owner.host}, since ${owner.takenAt}`],
    help: isKnownAlive
      ? "wait for it, stop it, or choose another folder with `-o`"
      : `make sure that nothing runs there on ${owner.host}, then delete ${path}`,
  });
}

/** The lock file holds something that no mspec wrote. */
export function lockUnreadable(path: string): Fault {
  return new Fault({
    code: "run/bad-lock",
    kind: "environment",
    claim: "the run folder's lock is not one that mspec wrote",
    at: path,
    help: "make sure that nothing runs in this folder, then delete the file",
  });
}

/** A line of metrics.jsonl that is not the last one does not parse. */
export function badMetricsLine(path: string, line: number): Fault {
  return new Fault({
    code: "run/bad-metrics-line",
    kind: "environment",
    claim: "a line of the metrics is not as it was written, and good ones follow it",
    at: `${path}:${line}`,
    help: "remove the line",
  });
}
