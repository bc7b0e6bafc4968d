// Writes what was compiled into a folder: all files or none, and never anybody else's.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { manifestFiles } from "../../runtime/device-targets.ts";
import type { OutputFile } from "../emit/output-files.ts";
import * as say from "../source/messages/output.ts";
import type { Spec } from "../spec/spec.ts";
import { checkUse, isReservedName, outputFolder, refuse } from "./output-folder.ts";
import { replaceFiles, type Written } from "./staged-write.ts";

/** Of the target that every build has. */
const { wasm: marker, ...furtherManifests } = manifestFiles;

/** `generated/<name>` in the working directory, unless `-o` says otherwise; refused before any work is done for it. */
export function outputPath(out: string | undefined, { name, placeOf }: Spec): string {
  if (out === undefined && isReservedName(name)) refuse(say.reservedSpecName(name, placeOf("name")));
  const path = out ?? join("generated", name);
  checkUse(outputFolder(path).path, "compiled model");
  return path;
}

/**
 * Writes the files of a build. Of an earlier one, manifests of targets that are gone are deleted, and so are kernels that are
 * gone and were not edited.
 */
export function writeBuild(out: string, files: readonly OutputFile[]): Written {
  const paths = new Set(files.map((file) => file.path));
  return replaceFiles({
    out,
    files,
    marker,
    obsolete: (folder) => earlierFiles(folder).filter((path) => !paths.has(path)),
  });
}

/** Further manifests, and kernels that a manifest lists and whose text is as it was written; anything else is somebody's own. */
function earlierFiles(folder: string): string[] {
  const further = Object.values(furtherManifests).filter((file) => kernelsOf(folder, file) !== undefined);
  const kernels = [marker, ...further].flatMap((file) => kernelsOf(folder, file) ?? []);
  const unedited = kernels.filter(({ file, sha256 }) => {
    if (!/^(wasm\/[A-Za-z0-9_]+\.wat|wgsl(-soft)?\/[A-Za-z0-9_.]+\.wgsl)$/.test(file)) return false;
    const text = readOrUndefined(join(folder, file));
    return text !== undefined && createHash("sha256").update(text).digest("hex") === sha256;
  });
  return [...further, ...new Set(unedited.map(({ file }) => file))];
}

interface EarlierKernel {
  readonly file: string;
  readonly sha256: unknown;
}

/** What a manifest of mspec lists; undefined for anything else: whatever it was, nothing is deleted for it. */
function kernelsOf(folder: string, manifestFile: string): readonly EarlierKernel[] | undefined {
  const text = readOrUndefined(join(folder, manifestFile));
  try {
    const { version, kernels } = JSON.parse(text ?? "{}");
    if (!Number.isInteger(version) || !Array.isArray(kernels)) return undefined;
    const isEntry = (entry: unknown): entry is EarlierKernel =>
      typeof entry === "object" && entry !== null && "file" in entry && typeof entry.file === "string";
    const variantsOf = (entry: unknown): readonly unknown[] =>
      typeof entry === "object" && entry !== null && "variants" in entry && Array.isArray(entry.variants)
        ? entry.variants
        : [];
    return kernels.flatMap((kernel) => [kernel, ...variantsOf(kernel)]).filter(isEntry);
  } catch {
    return undefined;
  }
}

function readOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
