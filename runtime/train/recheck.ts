// Whether a device that computes a step's gradients a second time gets the bits of the first time, as every device must that
// works: a bit that flips in its memory or its arithmetic in between makes no error of its own.

import type { ManifestTraining } from "../contract.ts";
import type { Device } from "../device.ts";
import { resultsDiffer } from "../messages/train.ts";

/** A sum over the micro-batches of a step, and the operation or the loss that it is of. */
interface StepSum {
  readonly tensor: string;
  readonly path: string;
}

/** How two computations of one tensor differ. */
interface Difference {
  readonly numDifferent: number;
  readonly numElements: number;
  /** Index of the first element that differs, and what it was. */
  readonly element: number;
  readonly first: number;
  readonly second: number;
}

/** A tensor that was not the same twice. */
export type UnequalSum = StepSum & Difference;

/**
 * Computes a step's gradients once more by `again`, and compares them and the sums of losses and loads with what stands
 * there, bit by bit. Called before the update, so that nothing of a step that differs is applied.
 *
 * It sees what went wrong in one of the two computations. It does not see a weight that was changed before both, nor
 * what goes wrong in the update, which is computed once; nor does it look at the pages of a cache. The host keeps a copy of all
 * gradients meanwhile, as large as the weights that a run begins with.
 * Errors: `device/results-differ`.
 */
export async function recheck(
  device: Device,
  training: ManifestTraining,
  step: number,
  again: () => Promise<void>,
): Promise<void> {
  const sums = stepSums(device, training);
  const before: Float32Array[] = [];
  for (const { tensor } of sums) before.push(await device.read(tensor));
  await again();
  const unequal: UnequalSum[] = [];
  for (const [i, sum] of sums.entries()) {
    const difference = differenceOf(before[i], await device.read(sum.tensor));
    if (difference !== undefined) unequal.push({ ...sum, ...difference });
  }
  const [first] = unequal;
  if (first !== undefined) throw resultsDiffer(step, first, unequal.length, sums.length);
}

/** All that micro-batches add to: gradients, in the order of the parameters, then what is reported. */
function stepSums({ manifest }: Device, { losses, loads }: ManifestTraining): StepSum[] {
  const gradients = manifest.parameters.flatMap(({ path, gradient }) =>
    gradient === undefined ? [] : [{ tensor: gradient, path }],
  );
  const means = losses.map(({ tensor, name }) => ({ tensor, path: name }));
  return [...gradients, { tensor: "metrics.loss", path: "loss" }, ...means, ...loads];
}

/** Undefined where all bits are equal; every NaN is equal to every other, since engines choose their bits freely. */
function differenceOf(first: Float32Array, second: Float32Array): Difference | undefined {
  const [a, b] = [bitsOf(first), bitsOf(second)];
  const isUnequal = (i: number): boolean => a[i] !== b[i] && !(Number.isNaN(first[i]) && Number.isNaN(second[i]));
  const element = a.findIndex((_, i) => isUnequal(i));
  if (element < 0) return undefined;
  let numDifferent = 0;
  for (let i = element; i < a.length; i++) if (isUnequal(i)) numDifferent++;
  return { numDifferent, numElements: a.length, element, first: first[element], second: second[element] };
}

const bitsOf = ({ buffer, byteOffset, length }: Float32Array): Uint32Array =>
  new Uint32Array(buffer, byteOffset, length);
