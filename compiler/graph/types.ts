// What a tensor is before any target: dtype and named dimensions. Layout is decided per target, in kernels/.

/** bf16 is the upper half of an f32: 8 bits of exponent, 8 of precision. */
export type DType = "f32" | "bf16" | "i32";

export const bytesOf: Record<DType, number> = { f32: 4, bf16: 2, i32: 4 };

/** Unit roundoff, for tolerances; 0 for exact types. Arithmetic is in f32 whatever its operands are stored as. */
export const unitRoundoff: Record<DType, number> = { f32: 2 ** -24, bf16: 2 ** -8, i32: 0 };

/** A count that is known when a program runs: the name of a step value, or arithmetic on such. */
export type LiveCount = number | string | readonly ["+" | "-" | "*" | "min" | "max" | "ceil_div", LiveCount, LiveCount];

export function printLive(live: LiveCount): string {
  if (typeof live !== "object") return String(live);
  const [operator, a, b] = live;
  const [left, right] = [printLive(a), printLive(b)];
  switch (operator) {
    case "+":
      return `${left} + ${right}`;
    case "-":
      return `${left} - ${right}`;
    case "*":
      return `${left} * ${right}`;
    default:
      return `${operator}(${left}, ${right})`;
  }
}

/** A named extent. `live` says how many of `size` are in use; without it all are. */
export interface Dim {
  readonly name: string;
  readonly size: number;
  readonly live?: LiveCount;
}

export interface TensorType {
  readonly dtype: DType;
  readonly dims: readonly Dim[];
}

export const dim = (name: string, size: number, live?: LiveCount): Dim =>
  live === undefined ? { name, size } : { name, size, live };

export const tensor = (dtype: DType, ...dims: readonly Dim[]): TensorType => ({ dtype, dims });

export const elementCount = (type: TensorType): number => type.dims.reduce((count, d) => count * d.size, 1);

/** The last dimension is the row's width; a scalar and a vector have one row. */
export const widthOf = (type: TensorType): number => type.dims.at(-1)?.size ?? 1;

export const rowsOf = (type: TensorType): number => type.dims.slice(0, -1).reduce((count, d) => count * d.size, 1);

export const sameDim = (a: Dim, b: Dim): boolean =>
  a.name === b.name && a.size === b.size && (a.live === b.live || JSON.stringify(a.live) === JSON.stringify(b.live));

export const sameType = (a: TensorType, b: TensorType): boolean =>
  a.dtype === b.dtype && a.dims.length === b.dims.length && a.dims.every((d, i) => sameDim(d, b.dims[i]));

/** Whether both are real numbers or both integers: what is stored narrower is read exactly. */
export const sameKind = (a: DType, b: DType): boolean => (a === "i32") === (b === "i32");

/** Whether types differ in their format at most. */
export const sameShape = (a: TensorType, b: TensorType): boolean =>
  sameKind(a.dtype, b.dtype) && sameType({ ...a, dtype: b.dtype }, b);

/** `f32[tokens 2048, width 128]` */
export function printType(type: TensorType): string {
  return `${type.dtype}[${type.dims.map((d) => `${d.name} ${d.size}`).join(", ")}]`;
}
