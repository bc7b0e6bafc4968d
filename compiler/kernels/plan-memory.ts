// Gives every tensor its place: persistent ones side by side, those of one run where nothing alive lies.

import { bytesOf, elementCount } from "../graph/types.ts";
import { invariant } from "../source/diagnostic.ts";
import { layoutElements, type PlannedTensor } from "./plan.ts";
import type { Wave } from "./schedule.ts";
import type { Target } from "./target.ts";

/** Offsets are multiples of this on every target. */
const alignment = 256;

export const tensorBytes = ({ layout, type }: PlannedTensor): number => layoutElements(layout) * bytesOf[type.dtype];

const aligned = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;

/** Scalars lie side by side where a target binds all of them at once. */
const takenBytes = (tensor: PlannedTensor, { arenaOf }: Target): number =>
  arenaOf(tensor) === "scalars" ? tensorBytes(tensor) : aligned(tensorBytes(tensor));

const pieceName = (arena: string, piece: number): string => (piece === 0 ? arena : `${arena}.${piece}`);

export interface PlacedTensor {
  readonly tensor: PlannedTensor;
  /** Name of the arena, or of a piece of it. */
  readonly arena: string;
  readonly offset: number;
}

/** Persistent tensors in the order given; one name is one tensor, as large as the program that needs most of it. */
export function placePersistent(
  tensors: readonly PlannedTensor[],
  target: Target,
): { placed: Map<string, PlacedTensor>; bytes: Map<string, number> } {
  const largest = new Map<string, PlannedTensor>();
  for (const tensor of tensors) {
    const known = largest.get(tensor.name);
    // Inputs such as `tokens` have the capacity of a micro-batch in one program and of a serving call in another. What
    // counts is what can be written: padding may make bytes equal where elements are not.
    if (known === undefined || elementCount(known.type) < elementCount(tensor.type)) largest.set(tensor.name, tensor);
  }
  const placed = new Map<string, PlacedTensor>();
  const bytes = new Map<string, number>();
  const pieces = new Map<string, number>();
  for (const tensor of largest.values()) {
    const whole = target.arenaOf(tensor);
    invariant(whole !== "activations", `${tensor.name} is not persistent`);
    const taken = takenBytes(tensor, target);
    const piece = pieces.get(whole) ?? 0;
    const isFull = (bytes.get(pieceName(whole, piece)) ?? 0) + taken > target.pieceBytes;
    const own = isFull && bytes.has(pieceName(whole, piece)) ? piece + 1 : piece;
    pieces.set(whole, own);
    const arena = pieceName(whole, own);
    const offset = bytes.get(arena) ?? 0;
    placed.set(tensor.name, { tensor, arena, offset });
    bytes.set(arena, offset + taken);
  }
  return { placed, bytes };
}

interface Lifetime {
  readonly tensor: PlannedTensor;
  readonly bytes: number;
  readonly first: number;
  last: number;
}

/**
 * The tensors of one run: the largest first, each at the lowest offset where nothing that lives with it lies. Offsets count
 * through pieces of equal size, and no tensor crosses from one into the next.
 */
export function placeTransient(
  waves: readonly Wave[],
  results: ReadonlySet<PlannedTensor>,
  target: Target,
): { placed: PlacedTensor[]; bytes: Map<string, number>; sum: number } {
  const lifetimes = lifetimesOf(waves, results, target);
  const order = [...lifetimes].sort((a, b) => b.bytes - a.bytes || a.first - b.first);
  const piece = Math.max(target.pieceBytes, order[0]?.bytes ?? 0);
  const within = (offset: number, size: number): number =>
    Math.floor(offset / piece) === Math.floor((offset + size - 1) / piece) ? offset : Math.ceil(offset / piece) * piece;
  /** In ascending order of offsets. */
  const done: { readonly lifetime: Lifetime; readonly offset: number }[] = [];
  for (const lifetime of order) {
    let offset = 0;
    let position = 0;
    for (let i = 0; i < done.length; i++) {
      const other = done[i];
      if (other.lifetime.first > lifetime.last || lifetime.first > other.lifetime.last) continue;
      if (other.offset >= offset + lifetime.bytes) break;
      offset = within(Math.max(offset, other.offset + other.lifetime.bytes), lifetime.bytes);
    }
    while (position < done.length && done[position].offset < offset) position++;
    done.splice(position, 0, { lifetime, offset });
  }
  const bytes = new Map<string, number>();
  const placed = done.map(({ lifetime, offset: through }) => {
    const [arena, offset] = [pieceName("activations", Math.floor(through / piece)), through % piece];
    bytes.set(arena, Math.max(bytes.get(arena) ?? 0, offset + lifetime.bytes));
    return { tensor: lifetime.tensor, arena, offset };
  });
  return { placed, bytes, sum: lifetimes.reduce((total, l) => total + l.bytes, 0) };
}

function lifetimesOf(waves: readonly Wave[], results: ReadonlySet<PlannedTensor>, { arenaOf }: Target): Lifetime[] {
  const lifetimes = new Map<PlannedTensor, Lifetime>();
  waves.forEach((wave, index) => {
    for (const launch of wave) {
      for (const operand of launch.operands) {
        if (operand.kind !== "tensor" || arenaOf(operand.tensor) !== "activations") continue;
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
