// Copies of tensors in another format: for kernels that write single elements, and of parameters for products to read.

import { phasesWithoutStash } from "../../formula/phases.ts";
import { ELEMENT } from "../../formula/terms.ts";
import { type TensorType, widthOf } from "../../graph/types.ts";
import { castBinding } from "../../ops/cast.ts";
import { throughF32By, workingCopyBy } from "../copies.ts";
import type { Count, Launch, PlannedTensor } from "../plan.ts";
import { capacityOf, fixed, type NodePlanner, pitchOf, rowCount } from "../planner.ts";
import type { WgslPort } from "./kernels.ts";
import { type WgslOperand, wgslLaunch } from "./launch.ts";
import { boundRows, countIn, piecesOf, rowBytes } from "./pieces.ts";

const threads = 64;

const rowOf = (type: TensorType): number => (type.dims.length < 2 ? (type.dims[0]?.size ?? 1) : widthOf(type));

/** Rows in pieces, where either tensor is larger than a binding. */
function castLaunches(planner: NodePlanner, from: PlannedTensor, to: PlannedTensor): readonly Launch[] {
  const isVector = from.type.dims.length < 2;
  const rows = isVector ? fixed(1) : rowCount(from.type);
  const bytes = isVector ? [] : [rowBytes(from), rowBytes(to)];
  const pieces = piecesOf(capacityOf(rows), bytes, planner.target.bindingBytes);
  return pieces.map((piece) => {
    const bound = (tensor: PlannedTensor) => (pieces.length === 1 ? {} : boundRows(tensor, piece));
    const operands: readonly WgslOperand[] = [
      { name: "x", tensor: from, access: "read", uses: ["load"], ...bound(from) },
      { name: "y", tensor: to, access: pieces.length === 1 ? "write" : "part", uses: ["store"], ...bound(to) },
    ];
    return castLaunch(planner, from, to, { operands, rows: countIn(rows, piece) });
  });
}

interface CastPiece {
  readonly operands: readonly WgslOperand[];
  readonly rows: Count;
}

function castLaunch(
  planner: NodePlanner,
  from: PlannedTensor,
  to: PlannedTensor,
  { operands, rows }: CastPiece,
): Launch {
  const [width, isVector] = [rowOf(from.type), from.type.dims.length < 2];
  const [source, target] = [from.type.dtype, to.type.dtype];
  const port = (name: string, tensor: PlannedTensor): WgslPort => ({
    port: name,
    extent: ELEMENT,
    operand: name,
    isScalar: false,
    dtype: tensor.type.dtype,
    pitch: pitchOf(tensor),
    laneStart: 0,
    laneStep: 1,
    groupStep: 0,
    isAligned: true,
  });
  return wgslLaunch(planner, {
    template: "formula",
    said: {
      name: `cast_w${width}_${source}_${target}${isVector ? "_vector" : ""}`,
      summary: target === "bf16" ? "Rounds f32 to bf16, to nearest with ties to even." : "Widens bf16 to f32, exactly.",
      formula: "y = x",
      source: "IEEE 754, section 4.3.1; bf16: arXiv:1905.12322",
    },
    tile: "four elements per thread",
    operands,
    counts: [{ name: "rows", count: rows, what: "rows" }],
    threads,
    numbers: {},
    formulas: {
      kind: "rows",
      rows: {
        plan: phasesWithoutStash(castBinding(from.type.dims).formula),
        isMap: true,
        lanes: width,
        groups: 1,
        rowsPerTile: 1,
        threadsPerRow: 1,
        inputs: [port("x", from)],
        outputs: [port("y", to)],
      },
    },
    tiles: [{ count: rows, times: Math.ceil(width / 4), per: threads }],
    flops: capacityOf(rows) * width,
    because: "it changes how numbers are stored, and nothing else",
  });
}

export const throughF32 = throughF32By(castLaunches);

export const planWorkingCopy = workingCopyBy(castLaunches);
