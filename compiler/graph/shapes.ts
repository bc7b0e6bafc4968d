// Named-dimension signatures of ops: `x[..., in], weight[out, in] -> y[..., out]`. Unification binds each name to one
// dimension; a name bound to two different ones is a shape mismatch.

import { InvariantError, invariant } from "../source/diagnostic.ts";
import { type Dim, type DType, printType, sameDim, sameKind, type TensorType } from "./types.ts";

export interface Port {
  readonly name: string;
  /** f32 stands for any format of real numbers. */
  readonly dtype: DType;
  /** Names of dimensions; `...` stands for any number of leading ones, the same ones wherever it occurs. */
  readonly dims: readonly string[];
  readonly isOptional: boolean;
  /** Zero or more inputs in a row, each with dimensions of its own. */
  readonly isVariadic: boolean;
}

export interface Signature {
  readonly text: string;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
}

/** What the names of a signature stand for at one node. */
export interface Binding {
  readonly dims: ReadonlyMap<string, Dim>;
  readonly leading: readonly Dim[] | undefined;
}

const portPattern = /^([a-z_0-9]+)([?*]?)(?::(f32|i32))?\[([^\]]*)\]$/;

/** Reads `port, port -> port, port`; a port is `name[dims]` with `?` or `*` and `:i32` behind the name. */
export function signature(text: string): Signature {
  const [left, right, ...more] = text.split("->");
  invariant(right !== undefined && more.length === 0, `signature needs one arrow: ${text}`);
  return { text, inputs: ports(left, text), outputs: ports(right, text) };
}

function ports(list: string, whole: string): Port[] {
  const parts = list.match(/[^,\s[]+\[[^\]]*\]/g) ?? [];
  return parts.map((part) => {
    const match = portPattern.exec(part);
    invariant(match !== null, `cannot read port ${part} of ${whole}`);
    const [, name, mark, dtype, dims] = match;
    return {
      name,
      dtype: dtype === "i32" ? "i32" : "f32",
      dims: dims
        .split(",")
        .map((d) => d.trim())
        .filter((d) => d !== ""),
      isOptional: mark === "?",
      isVariadic: mark === "*",
    };
  });
}

/** Pairs each input with its port; optional ports may be missing at the end, a variadic port takes all that are left. */
function portOf(sig: Signature, index: number): Port {
  const port = sig.inputs[Math.min(index, sig.inputs.length - 1)];
  invariant(index < sig.inputs.length || port?.isVariadic, `${sig.text} has no input ${index}`);
  return port;
}

/** Binds the signature's names to the types of a node's inputs; throws with both shapes on a mismatch. */
export function unify(sig: Signature, inputs: readonly TensorType[], path: string): Binding {
  const required = sig.inputs.filter((p) => !p.isOptional && !p.isVariadic).length;
  if (inputs.length < required)
    throw new InvariantError(`${sig.text} needs ${required} inputs, got ${inputs.length}`, path);
  const dims = new Map<string, Dim>();
  let leading: readonly Dim[] | undefined;
  inputs.forEach((type, i) => {
    const port = portOf(sig, i);
    const clash = (why: string): never => {
      throw new InvariantError(`${port.name} is ${printType(type)}: ${why} (${sig.text})`, path);
    };
    if (!sameKind(type.dtype, port.dtype)) clash(`${port.dtype} needed`);
    if (port.isVariadic) return;
    const hasLeading = port.dims[0] === "...";
    const named = hasLeading ? port.dims.slice(1) : port.dims;
    const start = type.dims.length - named.length;
    if (hasLeading ? start < 0 : start !== 0) clash(`${named.length} dimensions needed`);
    if (hasLeading) {
      const own = type.dims.slice(0, start);
      if (leading !== undefined && !sameDims(leading, own))
        clash(`its leading dimensions are not ${printDims(leading)}`);
      leading = own;
    }
    named.forEach((name, j) => {
      const own = type.dims[start + j];
      const bound = dims.get(name);
      if (bound !== undefined && !sameDim(bound, own))
        clash(`${name} is ${printDims([own])} here and ${printDims([bound])} elsewhere`);
      dims.set(name, own);
    });
  });
  return { dims, leading };
}

const sameDims = (a: readonly Dim[], b: readonly Dim[]): boolean =>
  a.length === b.length && a.every((d, i) => sameDim(d, b[i]));

const printDims = (dims: readonly Dim[]): string => dims.map((d) => `${d.name} ${d.size}`).join(", ");

/** The type of an output; `own` gives the dimensions that no input binds. */
export function instantiate(port: Port, binding: Binding, own: ReadonlyMap<string, Dim>, path: string): TensorType {
  const dims = port.dims.flatMap((name): readonly Dim[] => {
    if (name === "...") return binding.leading ?? [];
    const found = own.get(name) ?? binding.dims.get(name);
    invariant(found !== undefined, `dimension ${name} of ${port.name} is not bound`, path);
    return [found];
  });
  return { dtype: port.dtype, dims };
}
