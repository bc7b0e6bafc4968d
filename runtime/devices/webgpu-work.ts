// What a GPU was given and has not answered for: which programs, what they take by plan, and which kernel has most of it.

import type { Manifest, ManifestLaunch, ManifestTensor } from "../contract.ts";
import type { HeaviestKernel, WorkAtHand } from "../messages/webgpu.ts";
import { storageOf } from "./webgpu-operands.ts";

/** Launches that are submitted together. */
export interface Submission {
  /** A program's name, or that of one launch of it. */
  readonly name: string;
  readonly launches: readonly ManifestLaunch[];
  readonly tensors: ReadonlyMap<string, ManifestTensor>;
}

export class Work {
  readonly #submissions = new Map<string, { readonly submission: Submission; runs: number }>();

  add(submission: Submission): void {
    const known = this.#submissions.get(submission.name);
    if (known === undefined) this.#submissions.set(submission.name, { submission, runs: 1 });
    else known.runs++;
  }

  /** Nothing was submitted: what is awaited is a copy. */
  get isEmpty(): boolean {
    return this.#submissions.size === 0;
  }

  /** Such as `4 runs of micro_step and 1 of update`; equal for work of one kind. */
  get text(): string {
    const counts = [...this.#submissions].map(([name, { runs }], i) => {
      const unit = i > 0 ? "" : runs === 1 ? " run" : " runs";
      return `${runs}${unit} of ${name}`;
    });
    const last = counts.pop() ?? "a copy";
    return counts.length === 0 ? last : `${counts.join(", ")} and ${last}`;
  }

  /** By plan; of live counts the most. */
  get flops(): number {
    return this.#weigh(({ flops }) => flops).total;
  }

  describe({ kernels, arenas }: Manifest): WorkAtHand {
    const flops = this.#weigh((launch) => launch.flops);
    const isCounted = flops.total > 0;
    const { heaviest, total } = isCounted
      ? flops
      : this.#weigh((launch, { tensors }) => bytesOf(launch, tensors, arenas));
    if (heaviest === undefined) return { text: this.text, heaviest: undefined };
    const { kernel, weight, numLaunches, largest } = heaviest;
    const most: HeaviestKernel = {
      kernel: kernels[kernel].name,
      path: largest.path,
      numLaunches,
      share: total === 0 ? 0 : weight / total,
      unit: isCounted ? "FLOPs" : "bytes",
    };
    return { text: this.text, heaviest: most };
  }

  /** Adds up a weight by kernels; of equally heavy ones the first is the heaviest. */
  #weigh(weightOf: (launch: ManifestLaunch, submission: Submission) => number): Weights {
    const kernels = new Map<number, KernelWeight>();
    for (const { submission, runs } of this.#submissions.values()) {
      for (const launch of submission.launches) {
        const weight = weightOf(launch, submission);
        const known = kernels.get(launch.kernel) ?? { weight: 0, numLaunches: 0, largest: launch, most: weight };
        kernels.set(launch.kernel, {
          weight: known.weight + runs * weight,
          numLaunches: known.numLaunches + runs,
          ...(weight > known.most ? { largest: launch, most: weight } : { largest: known.largest, most: known.most }),
        });
      }
    }
    let total = 0;
    let heaviest: Weights["heaviest"];
    for (const [kernel, weights] of kernels) {
      total += weights.weight;
      if (heaviest === undefined || weights.weight > heaviest.weight) heaviest = { kernel, ...weights };
    }
    return { total, heaviest };
  }
}

/** What all launches of a kernel weigh, and the launch that weighs most. */
interface KernelWeight {
  readonly weight: number;
  readonly numLaunches: number;
  readonly largest: ManifestLaunch;
  readonly most: number;
}

interface Weights {
  readonly total: number;
  readonly heaviest: (KernelWeight & { readonly kernel: number }) | undefined;
}

function bytesOf(launch: ManifestLaunch, tensors: Submission["tensors"], arenas: Manifest["arenas"]): number {
  return storageOf(launch, tensors, arenas).reduce((sum, { bytes }) => sum + bytes, 0);
}
