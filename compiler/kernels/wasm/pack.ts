// Weights in panels of 16 outputs: what forward products read. Copies of parameters are made once per update.

import { bytesOf, type TensorType } from "../../graph/types.ts";
import type { Launch, PlannedTensor } from "../plan.ts";
import { fixed, kernelFacts, type NodePlanner, pitchOf, read, write } from "../planner.ts";
import { inF32 } from "./convert.ts";
import type { PackKernel } from "./kernels.ts";
import { realFormat } from "./strides.ts";

/** Matrices of a weight, and rows and columns of each. */
function sizesOf({ dims }: TensorType): { matrices: number; rows: number; depth: number } {
  const sizes = dims.map(({ size }) => size);
  const [rows, depth] = sizes.slice(-2);
  return { matrices: sizes.slice(0, -2).reduce((product, size) => product * size, 1), rows, depth };
}

/** The weight's rows as columns of 16: a working copy of a parameter, or workspace where the operand is made in this run. */
export function packedWeight(planner: NodePlanner, weight: PlannedTensor): PlannedTensor {
  const { matrices, rows, depth } = sizesOf(weight.type);
  const panels = matrices * Math.ceil(rows / 16);
  const layout = { kind: "panels", panels, depth: Math.ceil(depth / 4) * 4, panel: 16 } as const;
  const master = weight.storage === "parameter" ? weight : planner.derived.masterOf(weight);
  if (master === undefined) {
    const packed: PlannedTensor = { ...planner.workspace(weight.type), layout };
    planner.launch(packLaunch(planner, inF32(planner, weight), packed));
    return packed;
  }
  return planner.derived.get(`panels.${weight.name}`, () => {
    const packed: PlannedTensor = {
      name: `panels.${weight.name}`,
      type: weight.type,
      storage: "working",
      rule: undefined,
      layout,
    };
    return { tensor: packed, launch: packLaunch(planner, master, packed) };
  });
}

/** Bytes from one matrix of a packed weight to the next. */
export function packedMatrixBytes({ type, layout }: PlannedTensor): number {
  return layout.kind === "panels"
    ? Math.ceil(sizesOf(type).rows / 16) * layout.depth * layout.panel * bytesOf[type.dtype]
    : 0;
}

function packLaunch(planner: NodePlanner, weight: PlannedTensor, packed: PlannedTensor): Launch {
  const { matrices, rows, depth } = sizesOf(weight.type);
  const panelsPerTile = Math.max(1, Math.floor(16384 / (16 * depth)));
  const isOne = matrices === 1;
  const kernel = planner.kernels.get<PackKernel>(
    ["pack", matrices, rows, depth, pitchOf(weight), packed.type.dtype],
    () => ({
      template: "pack",
      facts: kernelFacts(
        {
          name: `pack_${isOne ? "" : `e${matrices}`}n${rows}k${depth}${packed.type.dtype === "bf16" ? "_bf16" : ""}`,
          summary: "Transposes a weight into panels of 16 outputs for the forward product.",
          formula: isOne ? "panels[p, k, j] = weight[16 p + j, k]" : "panels[e, p, k, j] = weight[e, 16 p + j, k]",
          source: "packing of matmul operands: Goto and van de Geijn, doi:10.1145/1356052.1356053",
        },
        [
          { name: "weight", tensor: weight },
          { name: "panels", tensor: packed },
        ],
        `${panelsPerTile} panels`,
      ),
      matrices,
      rows,
      depth,
      pitch: pitchOf(weight),
      format: realFormat(packed),
      panelsPerTile,
    }),
  );
  return {
    kernel,
    operands: [read(weight), write(packed)],
    tiles: [{ count: fixed(matrices * Math.ceil(rows / 16)), per: panelsPerTile }],
    use: { ...planner.use, because: "the product reads 16 outputs side by side; a weight has them in 16 rows" },
    flops: 0,
  };
}
