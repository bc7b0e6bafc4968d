// Reads the manifests of a compiled model: one for each target that it was compiled for.

import type { BuildSource } from "./build-source.ts";
import { type Manifest, manifestVersion } from "./contract.ts";
import type { DeviceName } from "./device.ts";
import { manifestFiles, type TargetName, targetNames, targetOfDevice } from "./device-targets.ts";
import { brokenPart } from "./manifest-shape.ts";
import { badManifest, notCompiledFor, wrongVersion } from "./messages/model.ts";

/** A file of a build as messages call it. */
export const pathIn = ({ place }: BuildSource, file: string): string =>
  place === undefined ? file : `${place}/${file}`;

/**
 * The manifest that a device runs.
 *
 * Errors: `model/not-compiled-for`; faults of `findManifest`; the source's own where there is no compiled model at all.
 */
export async function readManifest(source: BuildSource, device: DeviceName): Promise<Manifest> {
  const target = targetOfDevice[device];
  const manifest = await findManifest(source, target);
  if (manifest !== undefined) return manifest;
  const others = await compiledTargets(source);
  if (others.length > 0) throw notCompiledFor(source.place, device, target, others);
  // Where there is no manifest, the source says what is there instead.
  return parseManifest(await source.text(manifestFiles.wasm), target, pathIn(source, manifestFiles.wasm));
}

/** The manifest of a target; undefined where the model was not compiled for it. Errors: `model/bad-manifest`, `model/wrong-version`. */
export async function findManifest(source: BuildSource, target: TargetName): Promise<Manifest | undefined> {
  const file = manifestFiles[target];
  const text = await source.findText(file);
  return text === undefined ? undefined : parseManifest(text, target, pathIn(source, file));
}

/** What the model was compiled for. */
async function compiledTargets(source: BuildSource): Promise<TargetName[]> {
  const found: TargetName[] = [];
  for (const target of targetNames) {
    if ((await source.findText(manifestFiles[target])) !== undefined) found.push(target);
  }
  return found;
}

function parseManifest(text: string, target: TargetName, path: string): Manifest {
  let manifest: Partial<Manifest> | null;
  try {
    manifest = JSON.parse(text);
  } catch (error) {
    throw badManifest(path, error instanceof Error ? error.message : String(error));
  }
  if (manifest?.version !== manifestVersion) throw wrongVersion(manifest?.version, manifestVersion);
  const broken = brokenPart(manifest);
  if (broken !== undefined) throw badManifest(path, `its \`${broken}\` is missing or of another kind`);
  const language = target === "wasm" ? "wasm" : "wgsl";
  if (manifest.target !== language) throw badManifest(path, `it is of the target ${manifest.target}, not ${language}`);
  return manifest as Manifest;
}
