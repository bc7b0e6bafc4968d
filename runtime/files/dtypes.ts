// The number formats of safetensors: their widths, and the exact decoding of the narrow floats into f32.

/** Bits per element, in the order by which the reference writer lays tensors out (last first). */
export const dtypeBits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

export type Dtype = keyof typeof dtypeBits;

const names = Object.keys(dtypeBits) as Dtype[];
const ranks = new Map<string, number>(names.map((name, rank) => [name, rank]));

/** Every format's name, in the order of the table. */
export const dtypeNames: readonly Dtype[] = names;

export function isDtype(name: string): name is Dtype {
  return ranks.has(name);
}

/** The place of a format in the table; the reference writer puts higher ranks first. */
export function dtypeRank(dtype: Dtype): number {
  return ranks.get(dtype) ?? 0;
}

/** Widens bf16 to f32 in `out`; exact, NaN payloads too. `bytes` is little-endian, 2 bytes per element. */
export function decodeBf16(bytes: Uint8Array, out: Float32Array): void {
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < out.length; i++) bits[i] = (bytes[2 * i] << 16) | (bytes[2 * i + 1] << 24);
}

/** Widens f16 to f32 in `out`; exact. `bytes` is little-endian, 2 bytes per element. */
export function decodeF16(bytes: Uint8Array, out: Float32Array): void {
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < out.length; i++) {
    const sign = (bytes[2 * i + 1] & 0x80) << 24;
    const magnitude = bytes[2 * i] | ((bytes[2 * i + 1] & 0x7f) << 8);
    if (magnitude >= 0x7c00) bits[i] = sign | 0x7f800000 | ((magnitude & 0x3ff) << 13);
    else if (magnitude >= 0x400) bits[i] = sign | ((magnitude << 13) + 0x38000000);
    // Subnormals are multiples of 2^-24, which f32 holds as normal numbers.
    else out[i] = (sign === 0 ? magnitude : -magnitude) / 16777216;
  }
}

/** Every value of F8_E4M3 by its bits: a sign, 4 exponent bits with bias 7, 3 of the fraction; no infinities. */
export const e4m3Values: Float32Array = Float32Array.from({ length: 256 }, (_, bits) => {
  const sign = bits & 0x80 ? -1 : 1;
  const [exponent, fraction] = [(bits >> 3) & 15, bits & 7];
  if ((bits & 0x7f) === 0x7f) return Number.NaN;
  return exponent === 0 ? (sign * fraction) / 512 : sign * (1 + fraction / 8) * 2 ** (exponent - 7);
});
