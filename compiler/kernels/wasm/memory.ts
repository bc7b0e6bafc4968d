// Plans what moves rows by index, and sums over everything.

import { dim, rowsOf, tensor, widthOf } from "../../graph/types.ts";
import type { GatherRequest, ReduceRequest, ScatterAddRequest, ScatterStoreRequest } from "../../ops/skeletons.ts";
import { type Count, capacityOf, type Operand, type PlannedTensor } from "../plan.ts";
import {
  counted,
  countOperand,
  fixed,
  kernelFacts,
  type NodePlanner,
  none,
  part,
  pitchBytes,
  pitchOf,
  read,
  rowCount,
  rowsPerTile,
  update,
  write,
} from "../planner.ts";
import { inF32 } from "./convert.ts";
import type {
  GatherKernel,
  ReduceFinishKernel,
  ReducePartialKernel,
  ScatterAddKernel,
  ScatterStoreKernel,
  StoredRows,
} from "./kernels.ts";
import { realFormat } from "./strides.ts";

const storedRows = (tensor: PlannedTensor): StoredRows => ({ format: realFormat(tensor), pitch: pitchBytes(tensor) });

const storedParts = (from: PlannedTensor, to: PlannedTensor) => [from, to].flatMap((t) => [t.type.dtype, pitchOf(t)]);

/** What of the formats a kernel is called after. */
function storedName(from: PlannedTensor, to: PlannedTensor): string {
  const formats = [from, to].map(realFormat);
  return formats.includes("bf16") ? `_${formats.join("_")}` : "";
}

export function planGather(planner: NodePlanner, request: GatherRequest): void {
  const [table, index, out] = [planner.input(request.table), planner.input(request.index), planner.output(request.out)];
  const width = widthOf(out.type);
  const perTile = rowsPerTile(width);
  const rows = rowCount(out.type);
  const operands = [
    { name: "entries", tensor: table },
    { name: "index", tensor: index },
    { name: "out", tensor: out },
  ];
  planner.launch({
    kernel: planner.kernels.get<GatherKernel>(["gather", width, ...storedParts(table, out)], () => ({
      template: "gather",
      facts: planner.facts(`gather_w${width}${storedName(table, out)}`, operands, `${perTile} rows`, counted()),
      width,
      from: storedRows(table),
      to: storedRows(out),
      rowsPerTile: perTile,
    })),
    operands: [read(table), read(index), write(out), countOperand(rows)],
    tiles: [{ count: rows, per: perTile }],
    flops: 0,
  });
}

export function planScatterAdd(planner: NodePlanner, request: ScatterAddRequest): void {
  const rows = inF32(planner, planner.input(request.rows));
  const [index, out] = [planner.input(request.index), planner.output(request.out)];
  const width = widthOf(out.type);
  const entries = rowsOf(out.type);
  const entriesPerTile = Math.max(8, Math.ceil(entries / 64));
  const { accumulate } = request;
  const operands = [
    { name: "rows", tensor: rows },
    { name: "index", tensor: index },
    { name: "out", tensor: out },
  ];
  planner.launch({
    kernel: planner.kernels.get<ScatterAddKernel>(
      ["scatter-add", width, pitchOf(rows), pitchOf(out), entries, accumulate === undefined ? 0 : 1],
      () => ({
        template: "scatter-add",
        facts: planner.facts(
          `scatter_add_e${entries}w${width}${accumulate ? "_state" : ""}`,
          [
            ...operands,
            accumulate === undefined
              ? { name: "first", description: "not used" }
              : { name: "first", tensor: planner.input(accumulate.first) },
          ],
          `${entriesPerTile} entries`,
          counted(),
        ),
        width,
        rowsPitch: pitchOf(rows),
        outPitch: pitchOf(out),
        entries,
        entriesPerTile,
        accumulates: accumulate !== undefined,
      }),
    ),
    operands: [
      read(rows),
      read(index),
      accumulate === undefined ? write(out) : update(out),
      accumulate === undefined ? none : read(planner.input(accumulate.first)),
      countOperand(rowCount(rows.type)),
    ],
    tiles: [{ count: fixed(entries), per: entriesPerTile }],
    flops: planner.op.flops(planner.node),
  });
}

export function planScatterStore(planner: NodePlanner, request: ScatterStoreRequest): void {
  const [rows, index, out] = [planner.input(request.rows), planner.input(request.index), planner.output(request.out)];
  const width = widthOf(out.type);
  const perTile = rowsPerTile(width);
  const count = rowCount(rows.type);
  const operands = [
    { name: "rows", tensor: rows },
    { name: "index", tensor: index },
    { name: "out", tensor: out },
  ];
  planner.launch({
    kernel: planner.kernels.get<ScatterStoreKernel>(["scatter-store", width, ...storedParts(rows, out)], () => ({
      template: "scatter-store",
      facts: planner.facts(`scatter_store_w${width}${storedName(rows, out)}`, operands, `${perTile} rows`, counted()),
      width,
      from: storedRows(rows),
      to: storedRows(out),
      rowsPerTile: perTile,
    })),
    operands: [read(rows), read(index), update(out), countOperand(count)],
    tiles: [{ count, per: perTile }],
    flops: 0,
  });
}

/** Partial sums of every input into one vector, then one sum over it. */
export function planReduce(planner: NodePlanner, request: ReduceRequest): void {
  const inputs = request.inputs.map((i): ReduceInput => {
    const x = inF32(planner, planner.input(i));
    const [width, rows] =
      x.type.dims.length < 2 ? [x.type.dims[0]?.size ?? 1, fixed(1)] : [widthOf(x.type), rowCount(x.type)];
    const perTile = rowsPerTile(width);
    return { x, width, rows, perTile, parts: Math.ceil(capacityOf(rows) / perTile) };
  });
  const total = inputs.reduce((sum, { parts }) => sum + parts, 0);
  const partials = planner.workspace(tensor("f32", dim("parts", total)));
  let offset = 0;
  for (const input of inputs) {
    planPartialSums(planner, request.element, input, part(partials, 4 * offset), partials);
    offset += input.parts;
  }
  finishReduce(planner, request, partials, total);
  if (inputs.length > 1)
    planner.note("kernel", `${planner.node.op} adds ${total} partial sums of ${inputs.length} tensors in order`);
}

interface ReduceInput {
  readonly x: PlannedTensor;
  readonly width: number;
  readonly rows: Count;
  readonly perTile: number;
  /** Tiles of rows: one partial sum each. */
  readonly parts: number;
}

function planPartialSums(
  planner: NodePlanner,
  element: ReduceRequest["element"],
  { x, width, rows, perTile }: ReduceInput,
  out: Operand,
  partials: PlannedTensor,
): void {
  const squares = element === "x * x";
  const pitch = pitchOf(x);
  const operands = [
    { name: "x", tensor: x },
    { name: "parts", tensor: partials },
  ];
  const said = {
    name: `${squares ? "sum_squares" : "sum"}_w${width}${x.type.dims.length < 2 ? "_vector" : ""}`,
    summary: `Adds the ${squares ? "squares of the " : ""}elements of each chunk of rows.`,
    formula: `parts[tile] = Σ ${element} over the rows of the tile`,
    source: "sums in chunks that depend on shape alone",
  };
  const key = ["reduce-partial", squares ? 1 : 0, width, pitch, perTile];
  planner.launch({
    kernel: planner.kernels.get<ReducePartialKernel>(key, () => ({
      template: "reduce-partial",
      facts: kernelFacts(said, operands, `${perTile} rows`, counted()),
      squares,
      width,
      pitch,
      rowsPerTile: perTile,
    })),
    operands: [read(x), out, countOperand(rows)],
    tiles: [{ count: rows, per: perTile }],
    flops: (squares ? 2 : 1) * width * capacityOf(rows),
  });
}

function finishReduce(planner: NodePlanner, request: ReduceRequest, partials: PlannedTensor, total: number): void {
  const out = planner.output(request.out);
  const root = request.finish === "sqrt(sum)";
  const operands = [
    { name: "parts", tensor: partials },
    { name: "out", tensor: out },
  ];
  const said = {
    name: root ? "finish_norm" : "finish_sum",
    summary: `Adds partial sums in order${root ? " and takes the root" : ""}.`,
    formula: `out = ${root ? "sqrt(Σ parts)" : "Σ parts"}, in ascending order`,
    source: "sums in chunks that depend on shape alone",
  };
  planner.launch({
    kernel: planner.kernels.get<ReduceFinishKernel>(["reduce-finish", root ? 1 : 0], () => ({
      template: "reduce-finish",
      facts: kernelFacts(said, operands, "one", counted("parts")),
      root,
    })),
    operands: [read(partials), write(out), countOperand(fixed(total))],
    tiles: [{ count: fixed(1), per: 1 }],
    flops: total,
  });
}
