// Copies of tensors in another format: for kernels that compute on f32 alone, and of parameters for products to read.

import { phasesOf } from "../../formula/phases.ts";
import { ELEMENT } from "../../formula/terms.ts";
import { type TensorType, widthOf } from "../../graph/types.ts";
import { castBinding } from "../../ops/cast.ts";
import { type CastLaunches, throughF32By, workingCopyBy } from "../copies.ts";
import type { Launch, PlannedTensor } from "../plan.ts";
import {
  capacityOf,
  counted,
  countOperand,
  kernelFacts,
  type NodePlanner,
  pitchOf,
  read,
  rowCount,
  rowsPerTile,
  write,
} from "../planner.ts";
import type { FormulaKernel, FormulaPort } from "./kernels.ts";

const rowOf = (type: TensorType): number => (type.dims.length < 2 ? (type.dims[0]?.size ?? 1) : widthOf(type));

function castLaunch(planner: NodePlanner, from: PlannedTensor, to: PlannedTensor): Launch {
  const [width, isVector] = [rowOf(from.type), from.type.dims.length < 2];
  const rows = isVector ? ({ kind: "fixed", value: 1 } as const) : rowCount(from.type);
  const perTile = rowsPerTile(width);
  const [source, target] = [from.type.dtype, to.type.dtype];
  const port = (name: string, operand: number, tensor: PlannedTensor): FormulaPort => ({
    port: name,
    extent: ELEMENT,
    operand,
    dtype: tensor.type.dtype,
    pitch: pitchOf(tensor),
    laneStart: 0,
    laneStep: 1,
    groupStep: 0,
  });
  const operands = [
    { name: "x", tensor: from },
    { name: "y", tensor: to },
  ];
  const said = {
    name: `cast_w${width}_${source}_${target}${isVector ? "_vector" : ""}`,
    summary: target === "bf16" ? "Rounds f32 to bf16, to nearest with ties to even." : "Widens bf16 to f32, exactly.",
    formula: "y = x",
    source: "IEEE 754, section 4.3.1; bf16: arXiv:1905.12322",
  };
  const kernel = planner.kernels.get<FormulaKernel>(
    ["cast", width, source, target, pitchOf(from), pitchOf(to), Number(isVector)],
    () => ({
      template: "formula",
      facts: kernelFacts(said, operands, `${perTile} rows`, counted()),
      plan: phasesOf(castBinding(from.type.dims).formula),
      lanes: width,
      groups: 1,
      rowsPerTile: perTile,
      inputs: [port("x", 0, from)],
      outputs: [port("y", 1, to)],
    }),
  );
  return {
    kernel,
    operands: [read(from), write(to), countOperand(rows)],
    tiles: [{ count: rows, per: perTile }],
    use: { ...planner.use, because: "it changes how numbers are stored, and nothing else" },
    flops: capacityOf(rows) * width,
  };
}

/** The tensor in f32: itself, or a copy for the node's kernels. */
export function inF32(planner: NodePlanner, tensor: PlannedTensor): PlannedTensor {
  if (tensor.type.dtype !== "bf16") return tensor;
  const copy = planner.workspace({ ...tensor.type, dtype: "f32" });
  planner.launches.push(castLaunch(planner, tensor, copy));
  return copy;
}

const castLaunches: CastLaunches = (...of) => [castLaunch(...of)];

export const throughF32 = throughF32By(castLaunches);

export const planWorkingCopy = workingCopyBy(castLaunches);
