// The parameters that the model of a spec has, without compiling it.

import type { WantedParameter } from "../../runtime/files/hugging-face.ts";
import { buildModel } from "../model/model.ts";
import { Diagnostics } from "../source/diagnostic.ts";
import type { Spec } from "../spec/spec.ts";

export function parametersOf(spec: Spec): WantedParameter[] {
  const diagnostics = new Diagnostics();
  const { parameters } = buildModel(spec, diagnostics);
  diagnostics.throwIfErrors();
  return parameters.map(({ name, dims }) => ({ name, dims: dims.map(({ size }) => size) }));
}
