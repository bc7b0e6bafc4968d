// Sentences about files and their bytes.

import type { Diagnostic } from "../diagnostic.ts";
import type { Place } from "../text.ts";
import { codePoint, quoted } from "./words.ts";

const fault = (code: string, claim: string, help?: string): Diagnostic => ({
  code: `file/${code}`,
  severity: "error",
  claim,
  ...(help === undefined ? {} : { help }),
});

/** A path is never cut: it is what the user has to look at. */
const pathText = (path: string) => quoted(path, Number.POSITIVE_INFINITY);

const systemErrors: ReadonlyMap<string, readonly [code: string, words: string]> = new Map([
  ["ENOENT", ["not-found", "there is no such file"]],
  ["EACCES", ["no-permission", "there is no permission to read it"]],
  ["EPERM", ["no-permission", "there is no permission to read it"]],
  ["ENOTDIR", ["not-found", "a part of its path is not a directory"]],
  ["ELOOP", ["not-found", "its links lead back to themselves"]],
  ["ENAMETOOLONG", ["not-found", "its name is too long"]],
  ["ENXIO", ["not-regular", "it is not a regular file"]],
]);

export function unreadableFile(path: string, systemCode: string): Diagnostic {
  const [code, words] = systemErrors.get(systemCode) ?? ["unreadable", `the system reports ${systemCode}`];
  return fault(code, `${pathText(path)} cannot be read: ${words}`);
}

export function isDirectory(path: string): Diagnostic {
  return fault("is-directory", `${pathText(path)} is a directory`, "name a file in it");
}

export function notRegular(path: string): Diagnostic {
  return fault("not-regular", `${pathText(path)} is not a regular file`);
}

export function fileTooLarge(path: string, bytes: number, limit: number): Diagnostic {
  return fault("too-large", `${pathText(path)} has ${bytes} bytes, a spec has at most ${limit}`);
}

export function notUtf8(byteOffset: number, byte: number, place: Place): Diagnostic {
  const hex = `0x${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return { ...fault("not-utf8", `byte ${byteOffset} (${hex}) is not UTF-8`, "save the file as UTF-8"), place };
}

export function utf16(place: Place): Diagnostic {
  return { ...fault("utf-16", "this text is UTF-16", "save the file as UTF-8"), place };
}

export function forbiddenCharacter(character: string, byteOffset: number, place: Place): Diagnostic {
  return {
    ...fault("forbidden-character", `${codePoint(character)} at byte ${byteOffset} is refused`, "delete it"),
    place,
  };
}
