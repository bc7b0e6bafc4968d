// How tensors are declared, read and written in WGSL. Arithmetic is in f32 always: a bf16 is the upper half of one, two to
// a word, so reading is a shift, and writing rounds to nearest with ties to even in integers, which no compiler may relax.

export type WgslDType = "f32" | "bf16" | "i32";

/** `vectors`: four elements at a time; `elements`: one. */
export type WgslUnit = "vectors" | "elements";

const arrays: Readonly<Record<WgslDType, Readonly<Record<WgslUnit, string>>>> = {
  f32: { vectors: "array<vec4f>", elements: "array<f32>" },
  bf16: { vectors: "array<vec2u>", elements: "array<vec2u>" },
  i32: { vectors: "array<vec4i>", elements: "array<i32>" },
};

/** The type of a binding. */
export const arrayType = (dtype: WgslDType, unit: WgslUnit): string => arrays[dtype][unit];

/** Functions that several kinds of access share. */
export const bf16Functions: Readonly<Record<"widen" | "narrow", readonly string[]>> = {
  widen: [
    "/// Four bf16, two to a word, as f32.",
    "fn widen(words: vec2u) -> vec4f {",
    "  return bitcast<vec4f>(vec4u(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u));",
    "}",
  ],
  narrow: [
    "/// Four f32 rounded to bf16, ties to even; a NaN stays one.",
    "fn narrow(values: vec4f) -> vec2u {",
    "  let bits = bitcast<vec4u>(values);",
    "  let nearest = bits + 0x7fffu + ((bits >> vec4u(16u)) & vec4u(1u));",
    "  let is_nan = (bits & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);",
    "  let upper = select(nearest, bits | vec4u(0x400000u), is_nan) >> vec4u(16u);",
    "  return vec2u(upper.x | (upper.y << 16u), upper.z | (upper.w << 16u));",
    "}",
  ],
};

export interface Accessor {
  readonly lines: readonly string[];
  /** Which of bf16Functions it calls. */
  readonly needs: readonly ("widen" | "narrow")[];
}

/** `load_x(i)`: vector i, elements 4 i to 4 i + 3. */
export function loadFunction(name: string, array: string, dtype: WgslDType, unit: WgslUnit): Accessor {
  const type = dtype === "i32" ? "vec4i" : "vec4f";
  const head = `fn load_${name}(i: u32) -> ${type} {`;
  const four = `${type}(${[0, 1, 2, 3].map((k) => `${array}[4u * i${k === 0 ? "" : ` + ${k}u`}]`).join(", ")})`;
  const value = dtype === "bf16" ? `widen(${array}[i])` : unit === "vectors" ? `${array}[i]` : four;
  return { lines: [head, `  return ${value};`, "}"], needs: dtype === "bf16" ? ["widen"] : [] };
}

/** `store_x(i, value)`: vector i. */
export function storeFunction(name: string, array: string, dtype: WgslDType, unit: WgslUnit): Accessor {
  const type = dtype === "i32" ? "vec4i" : "vec4f";
  const body =
    dtype === "bf16"
      ? [`  ${array}[i] = narrow(value);`]
      : unit === "vectors"
        ? [`  ${array}[i] = value;`]
        : [0, 1, 2, 3].map((k) => `  ${array}[4u * i${k === 0 ? "" : ` + ${k}u`}] = value[${k}];`);
  return {
    lines: [`fn store_${name}(i: u32, value: ${type}) {`, ...body, "}"],
    needs: dtype === "bf16" ? ["narrow"] : [],
  };
}

/** `x_at(i)`: element i. */
export function atFunction(name: string, array: string, dtype: WgslDType, unit: WgslUnit): Accessor {
  const type = dtype === "i32" ? "i32" : "f32";
  const value =
    dtype === "bf16"
      ? `widen(${array}[i / 4u])[i % 4u]`
      : unit === "vectors"
        ? `${array}[i / 4u][i % 4u]`
        : `${array}[i]`;
  return {
    lines: [`fn ${name}_at(i: u32) -> ${type} {`, `  return ${value};`, "}"],
    needs: dtype === "bf16" ? ["widen"] : [],
  };
}

/** `put_x(i, value)`: element i, of arrays of elements. */
export function putFunction(name: string, array: string, dtype: WgslDType): Accessor {
  const type = dtype === "i32" ? "i32" : "f32";
  return { lines: [`fn put_${name}(i: u32, value: ${type}) {`, `  ${array}[i] = value;`, "}"], needs: [] };
}
