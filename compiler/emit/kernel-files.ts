// Kernels → texts, each once: kernels that differ in nothing share one file, and two that share a name by accident do not.

import { createHash } from "node:crypto";
import type { Kernel } from "../kernels/plan.ts";
import type { TargetPlan } from "../kernels/program.ts";
import { ident } from "./comment.ts";
import { Renderer } from "./render.ts";
import { viewOf } from "./wasm/views.ts";

export interface KernelFile {
  readonly name: string;
  readonly file: string;
  readonly text: string;
  readonly sha256: string;
  readonly kernel: Kernel;
}

export interface KernelFiles {
  readonly files: readonly KernelFile[];
  /** Index into `files`. */
  readonly indexOf: (kernel: Kernel) => number;
}

export function renderKernels(plan: TargetPlan): KernelFiles {
  const renderer = new Renderer("wasm", "wat");
  const identities = new Identities();
  const byKey = new Map<string, number>();
  const byName = new Map<string, number>();
  const files: KernelFile[] = [];
  const indexOf = (kernel: Kernel): number => {
    const key = identities.keyOf(kernel);
    const known = byKey.get(key);
    if (known !== undefined) return known;
    const index = addKernel(kernel, renderer, files, byName);
    byKey.set(key, index);
    return index;
  };
  for (const program of plan.programs) for (const launch of program.waves.flat()) indexOf(launch.kernel);
  return { files, indexOf };
}

function addKernel(kernel: Kernel, renderer: Renderer, files: KernelFile[], byName: Map<string, number>): number {
  const render = (name: string): KernelFile => {
    const named: Kernel = { ...kernel, facts: { ...kernel.facts, name: ident(name) } };
    const { template, view } = viewOf(named);
    const text = renderer.render(template, view);
    const sha256 = createHash("sha256").update(text).digest("hex");
    return { name, file: `wasm/${name}.wat`, text, sha256, kernel: named };
  };
  const own = render(kernel.facts.name);
  const sameName = byName.get(own.name);
  if (sameName !== undefined && files[sameName].text === own.text) return sameName;
  // Two formulas of one kind and size, such as activations that differ by layer: the text's own hash tells them apart.
  const file = sameName === undefined ? own : render(`${own.name}_${own.sha256.slice(0, 8)}`);
  const index = byName.get(file.name) ?? files.push(file) - 1;
  byName.set(file.name, index);
  return index;
}

/** Numbers objects that kernels share by identity (formulas, phases), so that a kernel has a key without its text. */
class Identities {
  readonly #numbers = new WeakMap<object, number>();
  #next = 0;

  keyOf(kernel: Kernel): string {
    return JSON.stringify(kernel, (_key, value: unknown) => {
      if (typeof value !== "object" || value === null || !("terms" in value || "phases" in value)) return value;
      let number = this.#numbers.get(value);
      if (number === undefined) {
        number = this.#next++;
        this.#numbers.set(value, number);
      }
      return `identity ${number}`;
    });
  }
}
