// Kernels → texts, each once: kernels that differ in nothing share one file, and two that share a name by accident do not.

import { createHash } from "node:crypto";
import type { Kernel, Launch, Use } from "../kernels/plan.ts";
import type { TargetPlan } from "../kernels/program.ts";
import { ident } from "./comment.ts";
import { headerText } from "./header.ts";
import { Renderer } from "./render.ts";
import type { TemplateTarget } from "./template-files.ts";
import { viewOf as wasmView } from "./wasm/views.ts";
import { viewOf as wgslView } from "./wgsl/views.ts";

export interface KernelFile {
  readonly name: string;
  readonly file: string;
  readonly text: string;
  readonly sha256: string;
  readonly kernel: Kernel;
  /** Texts that do the same with more of what an adapter may have. */
  readonly variants: readonly KernelVariant[];
}

export interface KernelVariant extends Pick<KernelFile, "file" | "text" | "sha256"> {
  /** Of the adapter, or of its language. */
  readonly features: readonly string[];
}

/** Every text of a list of kernels, with those of their variants. */
export const kernelTexts = (kernels: readonly KernelFile[]): Pick<KernelFile, "file" | "text" | "sha256">[] =>
  kernels.flatMap((kernel) => [kernel, ...kernel.variants]);

export interface KernelFiles {
  readonly files: readonly KernelFile[];
  /** Index into `files`. */
  readonly indexOf: (kernel: Kernel) => number;
}

/** A kernel that is being collected: its code, and everybody who launches it. */
interface Draft {
  readonly kernel: Kernel;
  readonly code: string;
  readonly uses: Use[];
}

export function renderKernels(plan: TargetPlan, spec: string): KernelFiles {
  const { id, name: target } = plan.target;
  const { extension, mark } = languages[target];
  const collection = new Collection(target);
  for (const program of plan.programs) for (const launch of program.waves.flat()) collection.add(launch);
  const files = collection.drafts.map(({ kernel, code, uses }): KernelFile => {
    const header = headerText(kernel, uses, spec, { target, extension, mark });
    const fileOf = (suffix: string, body: string) => {
      const text = `${header}\n${body}`;
      return { file: `${id}/${kernel.facts.name}${suffix}.${extension}`, text, sha256: sha256(text) };
    };
    const variants = collection.variantsOf(kernel).map(({ features, suffix, code: own }) => {
      return { features, ...fileOf(suffix, own) };
    });
    return { name: kernel.facts.name, ...fileOf("", code), kernel, variants };
  });
  return { files, indexOf: (kernel) => collection.indexOf(kernel) };
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** How files of a target end, and how a line of comment begins. */
const languages = {
  wasm: { extension: "wat", mark: ";;" },
  wgsl: { extension: "wgsl", mark: "//" },
} as const;

class Collection {
  readonly drafts: Draft[] = [];
  readonly #renderer: Renderer;
  readonly #byName = new Map<string, number>();
  /** Nodes alike share one kernel object. */
  readonly #known = new Map<Kernel, number>();

  constructor(target: TemplateTarget) {
    this.#renderer = new Renderer(target);
  }

  add({ kernel, use }: Launch): void {
    this.drafts[this.indexOf(kernel)].uses.push(use);
  }

  indexOf(kernel: Kernel): number {
    const known = this.#known.get(kernel);
    if (known !== undefined) return known;
    const index = this.#render(kernel);
    this.#known.set(kernel, index);
    return index;
  }

  #render(kernel: Kernel): number {
    const code = this.#code(kernel);
    const own = kernel.facts.name;
    const sameName = this.#byName.get(own);
    if (sameName === undefined) return this.#push({ kernel, code, uses: [] });
    if (this.drafts[sameName].code === code) return sameName;
    // Two formulas of one kind and size, such as activations that differ by layer: the code's hash tells them apart.
    const name = `${own}_${sha256(code).slice(0, 8)}`;
    const renamed: Kernel = { ...kernel, facts: { ...kernel.facts, name } };
    return this.#byName.get(name) ?? this.#push({ kernel: renamed, code: this.#code(renamed), uses: [] });
  }

  #code(kernel: Kernel): string {
    ident(kernel.facts.name);
    const { template, view } = "target" in kernel ? wgslView(kernel) : wasmView(kernel);
    return this.#renderer.render(template, view);
  }

  /** With subgroups fewer threads meet where they add up what they have. */
  variantsOf(
    kernel: Kernel,
  ): { readonly features: readonly string[]; readonly suffix: string; readonly code: string }[] {
    if (!("target" in kernel && (kernel.addsOverThreads || kernel.addsOverLanes))) return [];
    const { template, view } = wgslView(kernel, true);
    const code = this.#renderer.render(template, view);
    return [{ features: ["subgroups", "subgroup_id"], suffix: ".subgroups", code }];
  }

  #push(draft: Draft): number {
    const index = this.drafts.push(draft) - 1;
    this.#byName.set(draft.kernel.facts.name, index);
    return index;
  }
}
