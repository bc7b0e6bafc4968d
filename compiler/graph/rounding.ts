// What storing a number in a format makes of it.

import type { DType } from "./types.ts";

export const rounders: Readonly<Record<DType, (value: number) => number>> = {
  f32: Math.fround,
  bf16: toBf16,
  i32: (value) => value,
};

const bits = new DataView(new ArrayBuffer(4));

/** As a device does that computes in f32 and rounds once more where it stores: to nearest, ties to even. */
function toBf16(value: number): number {
  if (Number.isNaN(value)) return value;
  bits.setFloat32(0, value);
  const [upper, lower] = [bits.getUint16(0), bits.getUint16(2)];
  const isUp = lower > 0x8000 || (lower === 0x8000 && upper % 2 === 1);
  // A carry out of the fraction is the next exponent, and behind the greatest one infinity.
  bits.setUint32(0, (upper + (isUp ? 1 : 0)) * 0x10000);
  return bits.getFloat32(0);
}
