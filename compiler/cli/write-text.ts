// Writes one text: to stdout, or with `-o` to a file that is replaced as a whole.

import { randomBytes } from "node:crypto";
import { realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import * as say from "../source/messages/output.ts";
import { attempt, createFolders, entryAt, isReservedName, kindOf, refuse } from "./output-folder.ts";

export function writeText(text: string, out: string | undefined): void {
  if (out === undefined) process.stdout.write(text);
  else replaceFile(out, text);
}

function replaceFile(out: string, text: string): void {
  if (out === "") refuse(say.emptyPath());
  const path = resolve(out);
  const name = path.slice(dirname(path).length).replace(/^[/\\]/, "");
  if (isReservedName(name)) refuse(say.reservedName(name));
  const entry = entryAt(path);
  if (entry?.isSymbolicLink()) refuse(say.throughLink(path));
  if (entry !== undefined && !entry.isFile()) refuse(say.fileInTheWay(path, kindOf(entry)));
  createFolders(dirname(path));
  const folder = attempt("look at", dirname(path), () => realpathSync(dirname(path)));
  const aside = join(folder, `.mspec-${process.pid}-${randomBytes(4).toString("hex")}.tmp`);
  try {
    attempt("write", path, () => writeFileSync(aside, text));
    attempt("rename", path, () => renameSync(aside, join(folder, name)));
  } finally {
    rmSync(aside, { force: true });
  }
}
