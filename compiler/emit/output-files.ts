// What a compile leaves behind, as paths and contents; who writes them decides where.

import type { Manifest } from "../../runtime/contract.ts";
import type { Parameter } from "../model/parameters.ts";
import { invariant } from "../source/diagnostic.ts";
import { normalizeSpec } from "../spec/normalize.ts";
import type { Spec } from "../spec/spec.ts";
import { type KernelFile, kernelTexts } from "./kernel-files.ts";
import { manifestText } from "./manifest-text.ts";

export interface OutputFile {
  /** Relative to the output folder, with slashes. */
  readonly path: string;
  readonly content: string | Uint8Array;
}

/** What of a build is one target's. */
export interface TargetParts {
  readonly plan: { readonly target: { readonly id: string } };
  readonly kernels: readonly KernelFile[];
  readonly manifest: Manifest;
}

/** The parts of a build that files are made of. */
export interface BuildParts extends TargetParts {
  readonly spec: Spec;
  readonly programs: { readonly model: { readonly parameters: readonly Parameter[] } };
}

/** What a manifest is called: that of wasm, which every build has, is the one that a folder is known by. */
const manifestFile = (target: string): string => (target === "wasm" ? "manifest.json" : `manifest.${target}.json`);

/** What a person reads and compares: kernels of all targets, the normal form of the spec, the manifests. */
export function textFiles(parts: BuildParts, others: readonly TargetParts[] = []): OutputFile[] {
  const targets = [...others, parts];
  return checked([
    ...targets.flatMap(({ kernels }) => kernelTexts(kernels).map(({ file, text }) => ({ path: file, content: text }))),
    { path: "normalized.yaml", content: normalizeSpec(parts.spec) },
    ...targets.map(({ plan, manifest }) => ({
      path: manifestFile(plan.target.id),
      content: manifestText(manifest),
    })),
  ]);
}

/** All of it: the texts, the assembled kernels, and the bindings in TypeScript, JavaScript and declarations. */
export async function outputFiles(parts: BuildParts, others: readonly TargetParts[] = []): Promise<OutputFile[]> {
  return checked([...textFiles(parts, others), await moduleFile(parts), ...(await bindingFiles(parts))]);
}

export async function moduleFile({ manifest, kernels }: BuildParts): Promise<OutputFile> {
  const { assemble } = await import("./assemble.ts");
  invariant(manifest.module !== undefined, "only wasm has a module");
  return { path: manifest.module, content: await assemble(kernels) };
}

export async function bindingFiles({ spec, programs }: BuildParts): Promise<OutputFile[]> {
  const { renderBindings } = await import("./bindings.ts");
  const { typescript, javascript, declarations } = renderBindings(spec, programs.model.parameters);
  return [
    { path: "model.ts", content: typescript },
    { path: "model.js", content: javascript },
    { path: "model.d.ts", content: declarations },
  ];
}

/** File systems that do not tell small letters from capital ones must hold all of them too. */
function checked(files: OutputFile[]): OutputFile[] {
  const names = new Set(files.map((file) => file.path.toLowerCase()));
  invariant(names.size === files.length, "two files of the output have one name");
  return files;
}
