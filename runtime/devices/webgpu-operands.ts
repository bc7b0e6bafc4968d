// What a launch of a wgsl manifest binds: which ranges of which arenas, and the words of its block of parameters.

import type { Expression, Manifest, ManifestLaunch, ManifestOperand, ManifestTensor } from "../contract.ts";
import { tensorBytes } from "../memory-map.ts";

/** The arena of all tensors without dimensions; as an operand, the arena itself. */
export const scalarArena = "scalars";

/** Offsets of bindings are multiples of it on every adapter. */
export const bindingAlignment = 256;

/** A range of an arena's buffer, and whose it is. */
export interface ArenaRange {
  readonly tensor: string;
  readonly arena: string;
  readonly offset: number;
  readonly bytes: number;
}

/** How many storage bindings a launch has, and how many words its block. */
export function bindingsOf({ operands }: ManifestLaunch): { numStorage: number; numWords: number } {
  const bound = operands.filter((operand) => operand !== null);
  const numStorage = bound.filter((operand) => "tensor" in operand).length;
  return { numStorage, numWords: bound.length - numStorage };
}

type BoundTensor = Extract<ManifestOperand, { readonly tensor: string }>;

type TensorsByName = ReadonlyMap<string, ManifestTensor>;

/** Bytes of an arena's buffer: bindings are of whole words, and of at least one. */
export const arenaBytes = (bytes: number): number => Math.max(16, Math.ceil(bytes / 16) * 16);

/** The ranges that a launch binds as storage, in order. Errors: what lies outside its arena. */
export function storageOf(
  { operands }: ManifestLaunch,
  tensors: TensorsByName,
  arenas: Manifest["arenas"],
): ArenaRange[] {
  return operands.flatMap((operand) =>
    operand !== null && "tensor" in operand ? [rangeOf(operand, tensors, arenas)] : [],
  );
}

function rangeOf(
  { tensor: name, offset: shift = 0, bytes }: BoundTensor,
  tensors: TensorsByName,
  arenas: Manifest["arenas"],
): ArenaRange {
  if (name === scalarArena) return { tensor: name, arena: scalarArena, offset: 0, bytes: arenas[scalarArena] ?? 0 };
  const tensor = named(tensors, name);
  const offset = tensor.offset + shift;
  if (offset % bindingAlignment !== 0) {
    throw new RangeError(`${name} is bound at byte ${offset}, which is no multiple of ${bindingAlignment}`);
  }
  const rest = Math.ceil((tensorBytes(tensor) - shift) / 4) * 4;
  const range = { tensor: name, arena: tensor.arena, offset, bytes: bytes ?? rest };
  const [end, room] = [offset + range.bytes, arenas[tensor.arena]];
  if (room === undefined) throw new RangeError(`tensor ${name} lies in unknown arena ${tensor.arena}`);
  if (end > arenaBytes(room)) throw new RangeError(`${name} ends at byte ${end} of ${tensor.arena}, which has ${room}`);
  return range;
}

/** The words of a launch's block, in order. */
export function wordsOf({ operands }: ManifestLaunch, tensors: TensorsByName): Expression[] {
  return operands.flatMap((operand) => {
    if (operand === null || "tensor" in operand) return [];
    return ["count" in operand ? operand.count : named(tensors, operand.scalar).offset / 4];
  });
}

function named(tensors: TensorsByName, name: string): ManifestTensor {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new RangeError(`manifest names no tensor ${name}`);
  return tensor;
}
