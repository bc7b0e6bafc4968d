// Counts values of weights that are not finite, by their bits, and remembers the first one.

import * as messages from "../messages/hugging-face.ts";
import type { Dtype } from "./dtypes.ts";

/** The bits of an exponent that is all ones: NaN or infinity. */
const exponents: Partial<Record<Dtype, number>> = { F32: 0x7f800000, BF16: 0x7f80, F16: 0x7c00 };

/** Elements of a tensor, `indexOf` says which. */
export interface CheckedPiece {
  readonly path: string;
  readonly name: string;
  readonly dtype: Dtype;
  readonly bytes: Uint8Array;
  indexOf(element: number): number;
}

export class FiniteCheck {
  #first: { readonly path: string; readonly name: string; readonly index: number } | undefined;
  #count = 0;

  look({ path, name, dtype, bytes, indexOf }: CheckedPiece): void {
    const isBad = badBits(dtype);
    if (isBad === undefined) return;
    const values = wordsOf(bytes, dtype);
    for (let element = 0; element < values.length; element++) {
      if (!isBad(values[element])) continue;
      this.#first ??= { path, name, index: indexOf(element) };
      this.#count++;
    }
  }

  /** Errors: `import/non-finite-weights` with how many and the first. */
  throwIfAny(): void {
    if (this.#first === undefined) return;
    const { path, name, index } = this.#first;
    throw messages.nonFinite(path, name, index, this.#count);
  }
}

function badBits(dtype: Dtype): ((word: number) => boolean) | undefined {
  // It has no infinities, and one NaN of either sign.
  if (dtype === "F8_E4M3") return (word) => (word & 0x7f) === 0x7f;
  const exponent = exponents[dtype];
  return exponent === undefined ? undefined : (word) => (word & exponent) === exponent;
}

/** The elements as unsigned numbers; copied only where they do not lie as such an array must. */
export function wordsOf(bytes: Uint8Array, dtype: Dtype): Uint8Array | Uint16Array | Uint32Array {
  if (dtype === "F8_E4M3") return bytes;
  const width = dtype === "F32" ? 4 : 2;
  const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  return width === 4
    ? new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4)
    : new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2);
}
