// What every WGSL kernel begins with: words of the run, bindings, and functions that read and write them.

import type { WgslBinding, WgslKernel, WgslUse } from "../../kernels/wgsl/kernels.ts";
import { invariant } from "../../source/diagnostic.ts";
import { memberName, wgslName } from "../../targets/wgsl/names.ts";
import {
  type Accessor,
  arrayType,
  atFunction,
  bf16Functions,
  loadFunction,
  putFunction,
  storeFunction,
  type WgslUnit,
} from "../../targets/wgsl/storage.ts";
import { ident } from "../comment.ts";

export interface DeclarationsView {
  readonly usesSubgroups: boolean;
  /** With subgroups: all threads add up what they have, or some do, for whom threads are counted by subgroups. */
  readonly sharesThreads: boolean;
  readonly seatsThreads: boolean;
  readonly name: string;
  readonly threads: number;
  readonly hasWords: boolean;
  readonly words: readonly string[];
  readonly wordsBinding: number;
  readonly variables: readonly { readonly index: number; readonly variable: string; readonly type: string }[];
  readonly accessors: readonly string[];
}

/** Single elements are written in arrays of elements; everything else is read and written in vectors. */
const unitOf = (dtype: WgslBinding["dtype"], uses: readonly WgslUse[]): WgslUnit =>
  uses.includes("put") || (dtype === "i32" && !uses.includes("load") && !uses.includes("store"))
    ? "elements"
    : "vectors";

function accessorOf(use: WgslUse, name: string, array: string, dtype: WgslBinding["dtype"], unit: WgslUnit): Accessor {
  switch (use) {
    case "load":
      return loadFunction(name, array, dtype, unit);
    case "store":
      return storeFunction(name, array, dtype, unit);
    case "at":
      return atFunction(name, array, dtype, unit);
    case "put":
      invariant(dtype !== "bf16", `two values of ${name} share a word: they are stored in vectors`);
      return putFunction(name, array, dtype);
  }
}

export function declarationsView(
  { facts, bindings, scalars, counts, threads, addsOverThreads, addsOverLanes }: WgslKernel,
  usesSubgroups: boolean,
): DeclarationsView {
  const own = bindings.filter(({ sameAs }) => sameAs === undefined);
  const variables = own.map(({ name, dtype }, index) => {
    const uses = bindings.filter((b) => b.name === name || b.sameAs === name).flatMap((b) => b.uses);
    return { name, index, variable: wgslName(ident(name)), dtype, unit: unitOf(dtype, uses) };
  });
  const accessors: string[] = [];
  const needs = new Set<"widen" | "narrow">();
  for (const { name, sameAs, uses } of bindings) {
    const variable = variables.find((v) => v.name === (sameAs ?? name));
    invariant(variable !== undefined, `${name} has no binding`);
    for (const use of uses) {
      const accessor = accessorOf(use, ident(name), variable.variable, variable.dtype, variable.unit);
      for (const need of accessor.needs) needs.add(need);
      accessors.push("", ...accessor.lines);
    }
  }
  const all = variables.map(({ index, variable, dtype, unit }) => ({ index, variable, type: arrayType(dtype, unit) }));
  if (scalars.length > 0) all.push({ index: all.length, variable: "scalars", type: "array<f32>" });
  const words = [...counts, ...scalars].map((word) => memberName(ident(word)));
  return {
    usesSubgroups,
    sharesThreads: usesSubgroups && addsOverThreads,
    seatsThreads: usesSubgroups && addsOverLanes,
    name: facts.name,
    threads,
    hasWords: words.length > 0,
    words,
    wordsBinding: all.length,
    variables: all,
    accessors: [...[...needs].sort().flatMap((need) => ["", ...bf16Functions[need]]), ...accessors],
  };
}
