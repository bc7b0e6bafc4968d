// Sentences about reference data that a model is compared with.

import { Fault, type FaultParts } from "../fault.ts";

function refuse(what: string, claim: string, rest: Partial<FaultParts> = {}): Fault {
  return new Fault({ code: `verify/${what}`, kind: "input", claim, ...rest });
}

const format = "`mspec verify --help` says what such a folder holds";

export function noReference(folder: string, file: string): Fault {
  return refuse("no-reference", `the folder holds no ${file}`, { at: folder, help: format });
}

export function badReference(path: string, problem: string): Fault {
  return refuse("bad-reference", "the reference is not as mspec reads it", {
    at: path,
    details: [problem],
    help: format,
  });
}

export function otherModel(path: string, problem: string): Fault {
  return refuse("other-model", "the reference is of another model", {
    at: path,
    details: [problem],
    help: "use the reference that was computed with these weights",
  });
}

/** Why a quantity was not compared. */
export const lacks = (what: string): string => `the reference has no ${what}`;
export const lacksSome = (count: number, all: number): string =>
  `the reference has none for ${count} of ${all} parameters`;

export const noHiddenStates = "the model was compiled without a way to read them";
