// Plans products of every head with its own rows of one weight. A weight whose rows are the output's columns is
// transposed into panels, once per update, every head into panels of its own.

import { dim, tensor, widthOf } from "../../graph/types.ts";
import type { MatmulHeadsRequest } from "../../ops/skeletons.ts";
import type { Launch, PlannedTensor } from "../plan.ts";
import {
  counted,
  countOperand,
  fixed,
  kernelFacts,
  type NodePlanner,
  pitchBytes,
  pitchOf,
  read,
  rowCount,
  write,
} from "../planner.ts";
import { inF32, throughF32 } from "./convert.ts";
import type { MatmulHeadsKernel, PackHeadsKernel } from "./kernels.ts";
import { lineFloats } from "./layout.ts";
import { realFormat, stridesOfB } from "./strides.ts";

/** Even, since products compute two rows at a time. */
const tileRows = 32;

export function planMatmulHeads(planner: NodePlanner, request: MatmulHeadsRequest): void {
  const { form, heads, aColumns, bRows, outColumns, copied } = request;
  const a = inF32(planner, planner.input(request.a));
  const weight = planner.input(request.b);
  const { tensor: out, finish } = throughF32(planner, planner.output(request.out));
  const b = form === "NT" ? packedHeads(planner, request, weight) : weight;
  const [columns, depth] = [outColumns.size, aColumns.size];
  const lines = Math.ceil(columns / lineFloats);
  const scratchPitch = (lines + 1 - (lines % 2)) * lineFloats;
  const rows = rowCount(a.type);
  const copies = copied === undefined ? [] : [copied.from, copied.to, copied.size];
  const operands = [
    { name: "a", tensor: a },
    { name: "b", tensor: b },
    { name: "out", tensor: out },
  ];
  const columnsOfHeads = [aColumns, bRows, outColumns].flatMap(({ start, step, size }) => [start, step, size]);
  planner.launch({
    kernel: planner.kernels.get<MatmulHeadsKernel>(
      ["matmul-heads", form, heads, ...columnsOfHeads, ...copies, ...[a, b, out].map(pitchOf), realFormat(b)],
      () => ({
        template: "matmul-heads",
        facts: planner.facts(
          `${planner.label}_h${heads}n${columns}k${depth}${b.type.dtype === "bf16" ? "_bf16" : ""}`,
          operands,
          `${tileRows} rows of one head; registers hold 2 by 16`,
          counted("rows of a"),
        ),
        heads,
        a: { start: aColumns.start, step: aColumns.step, pitch: pitchOf(a) },
        b: form === "NT" ? panelsOfHeads(columns, b) : rowsOfHeads(bRows, b),
        out: { start: outColumns.start, step: outColumns.step, pitch: pitchOf(out) },
        columns,
        depth,
        copied,
        tileRows,
        scratchPitch,
        scratch: tileRows * scratchPitch * 4,
      }),
    ),
    operands: [read(a), read(b), write(out), countOperand(rows)],
    tiles: [
      { count: rows, per: tileRows },
      { count: fixed(heads), per: 1 },
    ],
    flops: planner.op.flops(planner.node),
  });
  finish();
}

const panelDepth = (depth: number): number => Math.ceil(depth / 4) * 4;

function panelsOfHeads(rows: number, b: PlannedTensor): MatmulHeadsKernel["b"] {
  const strides = stridesOfB(b);
  return { ...strides, start: 0, step: Math.ceil(rows / 16) * strides.panel };
}

const rowsOfHeads = ({ start, step }: MatmulHeadsRequest["bRows"], b: PlannedTensor): MatmulHeadsKernel["b"] => ({
  ...stridesOfB(b),
  start: start * pitchBytes(b),
  step: step * pitchBytes(b),
});

/** A working copy of a parameter, or workspace where the operand is made in this run. */
function packedHeads(
  planner: NodePlanner,
  { heads, bRows }: Pick<MatmulHeadsRequest, "heads" | "bRows">,
  weight: PlannedTensor,
): PlannedTensor {
  const [depth, panels] = [widthOf(weight.type), heads * Math.ceil(bRows.size / 16)];
  const layout = { kind: "panels", panels, depth: panelDepth(depth), panel: 16 } as const;
  const type = tensor(weight.type.dtype, dim("out", panels * 16), dim("in", depth));
  const master = weight.storage === "parameter" ? weight : planner.derived.masterOf(weight);
  if (master === undefined) {
    const packed: PlannedTensor = { ...planner.workspace(type), layout };
    planner.launch(packLaunch(planner, heads, bRows, inF32(planner, weight), packed));
    return packed;
  }
  const name = `panels.${weight.name}.rows${bRows.start}`;
  return planner.derived.get(name, () => {
    const packed: PlannedTensor = { name, type, storage: "working", rule: undefined, layout };
    return { tensor: packed, launch: packLaunch(planner, heads, bRows, master, packed) };
  });
}

function packLaunch(
  planner: NodePlanner,
  heads: number,
  { start, step, size }: MatmulHeadsRequest["bRows"],
  weight: PlannedTensor,
  packed: PlannedTensor,
): Launch {
  const [depth, pitch] = [widthOf(weight.type), pitchOf(weight)];
  const kernel = planner.kernels.get<PackHeadsKernel>(
    ["pack-heads", start, step, size, depth, pitch, packed.type.dtype],
    () => ({
      template: "pack-heads",
      facts: kernelFacts(
        {
          name: `pack_heads_n${size}k${depth}${packed.type.dtype === "bf16" ? "_bf16" : ""}`,
          summary: `Transposes ${size} of every ${step} rows of a weight into panels of 16 outputs of one head.`,
          formula: `panels[h, p, k, j] = weight[${step} h + ${start} + 16 p + j, k]`,
          source: "packing of matmul operands: Goto and van de Geijn, doi:10.1145/1356052.1356053",
        },
        [
          { name: "weight", tensor: weight },
          { name: "panels", tensor: packed },
        ],
        "one head",
      ),
      first: start,
      step,
      rows: size,
      depth,
      pitch,
      format: realFormat(packed),
    }),
  );
  return {
    kernel,
    operands: [read(weight), write(packed)],
    tiles: [{ count: fixed(heads), per: 1 }],
    use: { ...planner.use, because: "the product reads 16 outputs side by side; a weight has them in 16 rows" },
    flops: 0,
  };
}
