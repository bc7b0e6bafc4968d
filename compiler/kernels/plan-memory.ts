// Gives every tensor its place: persistent ones side by side, those of one run where nothing alive lies.

import { bytesOf, elementCount } from "../graph/types.ts";
import { invariant } from "../source/diagnostic.ts";
import { layoutElements, type PlannedTensor, type TensorStorage } from "./plan.ts";
import type { Wave } from "./schedule.ts";

/** Offsets are multiples of this on every target. */
const alignment = 256;

export const tensorBytes = ({ layout, type }: PlannedTensor): number => layoutElements(layout) * bytesOf[type.dtype];

const aligned = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;

/** Lifetime class of a tensor. */
export type Arena =
  | "inputs"
  | "step"
  | "parameters"
  | "gradients"
  | "optimizer"
  | "state"
  | "constants"
  | "cache"
  | "working"
  | "activations";

export const arenaOf: Readonly<Record<TensorStorage, Arena>> = {
  input: "inputs",
  step: "step",
  parameter: "parameters",
  gradient: "gradients",
  moment: "optimizer",
  state: "state",
  constant: "constants",
  cache: "cache",
  working: "working",
  intermediate: "activations",
  workspace: "activations",
};

export interface PlacedTensor {
  readonly tensor: PlannedTensor;
  readonly arena: Arena;
  readonly offset: number;
}

/** Persistent tensors in the order given; one name is one tensor, as large as the program that needs most of it. */
export function placePersistent(tensors: readonly PlannedTensor[]): {
  placed: Map<string, PlacedTensor>;
  bytes: Map<Arena, number>;
} {
  const largest = new Map<string, PlannedTensor>();
  for (const tensor of tensors) {
    const known = largest.get(tensor.name);
    // Inputs such as `tokens` have the capacity of a micro-batch in one program and of a serving call in another. What
    // counts is what can be written: padding may make bytes equal where elements are not.
    if (known === undefined || elementCount(known.type) < elementCount(tensor.type)) largest.set(tensor.name, tensor);
  }
  const placed = new Map<string, PlacedTensor>();
  const bytes = new Map<Arena, number>();
  for (const tensor of largest.values()) {
    const arena = arenaOf[tensor.storage];
    invariant(arena !== "activations", `${tensor.name} is not persistent`);
    const offset = bytes.get(arena) ?? 0;
    placed.set(tensor.name, { tensor, arena, offset });
    bytes.set(arena, offset + aligned(tensorBytes(tensor)));
  }
  return { placed, bytes };
}

interface Lifetime {
  readonly tensor: PlannedTensor;
  readonly bytes: number;
  readonly first: number;
  last: number;
}

/** The tensors of one run: the largest first, each at the lowest offset where nothing that lives with it lies. */
export function placeTransient(
  waves: readonly Wave[],
  results: ReadonlySet<PlannedTensor>,
): { placed: PlacedTensor[]; bytes: number; sum: number } {
  const lifetimes = lifetimesOf(waves, results);
  const order = [...lifetimes].sort((a, b) => b.bytes - a.bytes || a.first - b.first);
  /** In ascending order of offsets. */
  const done: { readonly lifetime: Lifetime; readonly offset: number }[] = [];
  let bytes = 0;
  for (const lifetime of order) {
    let offset = 0;
    let position = 0;
    for (let i = 0; i < done.length; i++) {
      const other = done[i];
      if (other.lifetime.first > lifetime.last || lifetime.first > other.lifetime.last) continue;
      if (other.offset >= offset + lifetime.bytes) break;
      offset = Math.max(offset, other.offset + other.lifetime.bytes);
    }
    while (position < done.length && done[position].offset < offset) position++;
    done.splice(position, 0, { lifetime, offset });
    bytes = Math.max(bytes, offset + lifetime.bytes);
  }
  const placed = done.map(({ lifetime, offset }) => ({
    tensor: lifetime.tensor,
    arena: "activations" as const,
    offset,
  }));
  return { placed, bytes, sum: lifetimes.reduce((total, l) => total + l.bytes, 0) };
}

function lifetimesOf(waves: readonly Wave[], results: ReadonlySet<PlannedTensor>): Lifetime[] {
  const lifetimes = new Map<PlannedTensor, Lifetime>();
  waves.forEach((wave, index) => {
    for (const launch of wave) {
      for (const operand of launch.operands) {
        if (operand.kind !== "tensor" || arenaOf[operand.tensor.storage] !== "activations") continue;
        const known = lifetimes.get(operand.tensor);
        if (known !== undefined) known.last = index;
        else {
          const bytes = aligned(tensorBytes(operand.tensor));
          lifetimes.set(operand.tensor, { tensor: operand.tensor, bytes, first: index, last: index });
        }
      }
    }
  });
  for (const tensor of results) {
    const lifetime = lifetimes.get(tensor);
    if (lifetime !== undefined) lifetime.last = waves.length;
  }
  return [...lifetimes.values()];
}
