// Sentences about checkpoints: what is damaged and why, and what became of a save.

import { Fault } from "../fault.ts";
import type { DiskFault } from "../files/disk.ts";

function damaged(what: string, claim: string, at: string, details: readonly string[]): Fault {
  return new Fault({ code: `checkpoint/${what}`, kind: "environment", claim, at, details });
}

export function noManifest(folder: string): Fault {
  return damaged("no-manifest", "the checkpoint has no checkpoint.json, so its save never ended", folder, []);
}

export function badManifest(path: string, reason: string): Fault {
  return damaged("bad-manifest", `checkpoint.json is not as it was written: ${reason}`, path, []);
}

export function missingFile(path: string): Fault {
  return damaged("missing-file", "a file that checkpoint.json lists is missing", path, []);
}

export function wrongLength(path: string, listed: number, found: number): Fault {
  return damaged("wrong-length", "a file of the checkpoint has another length than checkpoint.json lists", path, [
    `listed ${listed} bytes, found ${found}`,
  ]);
}

export function wrongChecksum(path: string, listed: string, found: string): Fault {
  return damaged("wrong-checksum", "a file of the checkpoint has changed since it was written", path, [
    `SHA-256 listed ${listed}`,
    `SHA-256 found  ${found}`,
  ]);
}

/** A resume needs a part of the checkpoint that was never saved in it. */
export function missingPart(folder: string, part: string, parts: readonly string[]): Fault {
  return new Fault({
    code: "checkpoint/missing-part",
    kind: "input",
    claim: `the checkpoint has no ${part}`,
    at: folder,
    details: [`it has ${parts.join(", ")}`],
    help: "start a new run from its weights with `--weights` instead of resuming",
  });
}

/** A save failed; what was saved before is untouched. */
export function saveFailed(step: number, folder: string, cause: DiskFault, earlier: string | undefined): Fault {
  return new Fault({
    code: "checkpoint/save-failed",
    kind: "environment",
    claim: `the checkpoint of step ${step} could not be saved`,
    at: folder,
    details: [
      cause.claim,
      earlier === undefined ? "no checkpoint was saved before it" : `the last checkpoint before it is ${earlier}`,
    ],
    ...(cause.help === undefined ? {} : { help: cause.help }),
    cause,
  });
}

/** A checkpoint read back differently from what was written. */
export function savedButDamaged(step: number, cause: Fault): Fault {
  return new Fault({
    code: "checkpoint/damaged-on-save",
    kind: "environment",
    claim: `the checkpoint of step ${step} does not read back as it was written: ${cause.claim}`,
    ...(cause.at === undefined ? {} : { at: cause.at }),
    details: [...cause.details, "no earlier checkpoint was deleted"],
    help: "check the device before training on",
    cause,
  });
}

/** The new checkpoint is good, but an old one could not be deleted. */
export function oldNotRemoved(folder: string, cause: DiskFault): Fault {
  return new Fault({
    code: "checkpoint/old-not-removed",
    kind: "environment",
    claim: `an old checkpoint could not be deleted: ${cause.claim}`,
    at: folder,
    details: ["the new checkpoint is saved; the next start removes what is left of the old one"],
    cause,
  });
}
