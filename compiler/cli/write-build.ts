// Writes what was compiled into a folder: all files or none, and never anybody else's.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { OutputFile } from "../emit/output-files.ts";
import * as say from "../source/messages/output.ts";
import type { Spec } from "../spec/spec.ts";
import { checkUse, isReservedName, outputFolder, refuse } from "./output-folder.ts";
import { replaceFiles, type Written } from "./staged-write.ts";

const manifestFile = "manifest.json";

/** `generated/<name>` in the working directory, unless `-o` says otherwise; refused before any work is done for it. */
export function outputPath(out: string | undefined, { name, placeOf }: Spec): string {
  if (out === undefined && isReservedName(name)) refuse(say.reservedSpecName(name, placeOf("name")));
  const path = out ?? join("generated", name);
  checkUse(outputFolder(path).path, "compiled model");
  return path;
}

/** Writes the files of a build; kernels of an earlier build that are gone and were not edited are deleted. */
export function writeBuild(out: string, files: readonly OutputFile[]): Written {
  const paths = new Set(files.map((file) => file.path));
  return replaceFiles({
    out,
    files,
    marker: manifestFile,
    obsolete: (folder) => earlierKernels(folder).filter((path) => !paths.has(path)),
  });
}

/** Kernels that the folder's manifest lists and whose text is as it was written; anything else is somebody's own. */
function earlierKernels(folder: string): string[] {
  const kernels = earlierManifest(folder);
  return kernels.flatMap(({ file, sha256 }) => {
    if (typeof file !== "string" || !/^wasm\/[A-Za-z0-9_]+\.wat$/.test(file)) return [];
    const text = readOrUndefined(join(folder, file));
    return text !== undefined && createHash("sha256").update(text).digest("hex") === sha256 ? [file] : [];
  });
}

/** A manifest that cannot be read names no kernels: whatever it was, nothing is deleted for it. */
function earlierManifest(folder: string): readonly { readonly file?: unknown; readonly sha256?: unknown }[] {
  const text = readOrUndefined(join(folder, manifestFile));
  try {
    const { kernels } = JSON.parse(text ?? "{}");
    return Array.isArray(kernels) ? kernels.filter((kernel) => typeof kernel === "object" && kernel !== null) : [];
  } catch {
    return [];
  }
}

function readOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
