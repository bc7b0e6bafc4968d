// Sentences about where output is written.

import type { Diagnostic } from "../diagnostic.ts";
import type { Place } from "../text.ts";
import { quoted } from "./words.ts";

const error = (code: string, claim: string, help: string): Diagnostic => ({
  code: `output/${code}`,
  severity: "error",
  claim,
  help,
});

/** A path is never cut: it is what the user has to look at. */
const pathText = (path: string) => quoted(path, Number.POSITIVE_INFINITY);

export const emptyPath = (): Diagnostic => error("empty-path", "`-o` names no folder", "write `-o out`");

export const rootFolder = (path: string): Diagnostic =>
  error(
    "root-folder",
    `${pathText(path)} is the root of a file system, which is no place for output`,
    "name a folder in it",
  );

export const notAFolder = (path: string, kind: string): Diagnostic =>
  error("not-a-folder", `${pathText(path)} is ${kind}, and output goes into a folder`, "choose another path with `-o`");

export const inTheWay = (path: string, kind: string): Diagnostic =>
  error(
    "in-the-way",
    `${pathText(path)} is ${kind} where a file of the output belongs`,
    "move it away, or choose another folder with `-o`",
  );

export const throughLink = (path: string): Diagnostic =>
  error(
    "through-link",
    `${pathText(path)} is a symbolic link, and output is never written through one`,
    "remove the link, or choose another folder with `-o`",
  );

export const holdsRun = (path: string): Diagnostic =>
  error(
    "holds-run",
    `${pathText(path)} holds a run, and a compiled model among its files would be taken for the run's own`,
    "choose another folder with `-o`; a run has its compiled model in its folder compiled/",
  );

export const holdsCompiled = (path: string): Diagnostic =>
  error(
    "holds-compiled-model",
    `${pathText(path)} holds a compiled model, and a run among its files could not be told from it`,
    "choose another folder with `-o`, such as runs/first",
  );

export const nameTooLong = (path: string): Diagnostic =>
  error("name-too-long", `${pathText(path)} is longer than the file system allows`, "choose a shorter path with `-o`");

export const reservedName = (name: string): Diagnostic =>
  error(
    "reserved-name",
    `${quoted(name)} names a device on Windows, so no folder can be called that there`,
    "choose another folder with `-o`",
  );

/** The name of the spec would be the name of the folder. */
export const reservedSpecName = (name: string, place: Place | undefined): Diagnostic => ({
  ...error(
    "reserved-name",
    `the output would go into generated/${name}, and ${quoted(name)} names a device on Windows`,
    "choose another folder with `-o`, or another name",
  ),
  ...(place === undefined ? {} : { place }),
});

/** For `schema -o` and `normalize -o`. */
export const fileInTheWay = (path: string, kind: string): Diagnostic =>
  error("in-the-way", `${pathText(path)} is ${kind}, and output goes into a file`, "choose another path with `-o`");
