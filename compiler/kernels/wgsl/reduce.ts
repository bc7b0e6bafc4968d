// Plans sums over everything on wgsl: partial sums of fixed chunks of every input into one vector, then one sum over it.

import { dim, tensor, widthOf } from "../../graph/types.ts";
import type { ReduceRequest } from "../../ops/skeletons.ts";
import { type Count, capacityOf, type PlannedTensor } from "../plan.ts";
import { fixed, type NodePlanner, rowCount } from "../planner.ts";
import { mapThreads } from "./formula.ts";
import { isScalar, launchWgsl, type WgslOperand } from "./launch.ts";
import { formatsName, vectorPitch } from "./memory.ts";
import { boundRows, countIn, piecesOf, rowBytes } from "./pieces.ts";

/** Vectors of four elements of a partial sum: part of the result's bits. */
const chunks = { thread: 512, workgroup: 4096 } as const;
/** Threads that share a partial sum, and the last one. */
const sharedThreads = 256;
/** An operand begins at a multiple of 256 bytes: so do the partial sums of each input. */
const partsStep = 64;

/** An input, or a piece of one that is larger than a launch can be given. */
interface ReduceInput {
  readonly x: PlannedTensor;
  readonly bound: Pick<WgslOperand, "offset" | "bytes">;
  readonly width: number;
  readonly rows: Count;
  /** Partial sums, and zeros behind them up to where those of the next input begin. */
  readonly parts: number;
  readonly room: number;
}

export function planReduce(planner: NodePlanner, request: ReduceRequest): void {
  const isShared = planner.target.profile === "gpu";
  const chunk = isShared ? chunks.workgroup : chunks.thread;
  const inputs = request.inputs.flatMap((i): ReduceInput[] => {
    const x = planner.input(i);
    const isVector = x.type.dims.length < 2;
    const [width, all] = isVector ? [x.type.dims[0]?.size ?? 1, fixed(1)] : [widthOf(x.type), rowCount(x.type)];
    const pieces = piecesOf(capacityOf(all), isVector ? [] : [rowBytes(x)], planner.target.bindingBytes);
    return pieces.map((piece) => {
      const rows = countIn(all, piece);
      const parts = Math.ceil((capacityOf(rows) * Math.ceil(width / 4)) / chunk);
      const bound = pieces.length === 1 ? {} : boundRows(x, piece);
      return { x, bound, width, rows, parts, room: Math.ceil(parts / partsStep) * partsStep };
    });
  });
  const total = inputs.reduce((sum, { room }) => sum + room, 0);
  const partials = planner.workspace(tensor("f32", dim("parts", total)));
  let offset = 0;
  for (const input of inputs) {
    planPartialSums(planner, request.element, input, { partials, offset, chunk, isShared });
    offset += input.room;
  }
  finishReduce(planner, request, partials, isShared);
  if (request.inputs.length > 1)
    planner.note("kernel", `${planner.node.op} adds partial sums of ${request.inputs.length} tensors in order`);
}

interface Partials {
  readonly partials: PlannedTensor;
  /** Elements from its start. */
  readonly offset: number;
  readonly chunk: number;
  readonly isShared: boolean;
}

function planPartialSums(
  planner: NodePlanner,
  element: ReduceRequest["element"],
  { x, bound, width, rows, parts, room }: ReduceInput,
  { partials, offset, chunk, isShared }: Partials,
): void {
  const squares = element === "x * x";
  launchWgsl(planner, {
    template: "reduce-partial",
    said: {
      name: `${squares ? "sum_squares" : "sum"}_w${width}p${parts}${x.type.dims.length < 2 ? "_vector" : ""}${formatsName(x)}`,
      summary: `Adds the ${squares ? "squares of the " : ""}elements of each chunk; 0 behind the last one.`,
      formula: `parts[chunk] = Σ ${element} over ${4 * chunk} elements`,
      source: "sums in chunks that depend on shape alone",
    },
    tile: `${4 * chunk} elements per ${isShared ? `workgroup of ${sharedThreads}, side by side` : "thread"}`,
    operands: [
      { name: "x", tensor: x, access: "read", uses: isScalar(x) ? [] : ["load"], ...bound },
      { name: "parts", tensor: partials, access: "part", uses: ["put"], offset: 4 * offset },
    ],
    counts: [{ name: "rows", count: rows, what: "rows" }],
    threads: isShared ? sharedThreads : mapThreads,
    addsOverThreads: isShared,
    numbers: {
      ...{ squares, isShared, width, vectors: Math.ceil(width / 4), pitch: pitchOfRows(x), chunk, parts, room },
      isRagged: width % 4 !== 0,
      isFlat: x.type.dims.length < 2 || vectorPitch(x) === Math.ceil(width / 4),
      isSingle: isScalar(x),
    },
    // Chunks behind the rows of this run are 0, too.
    tiles: [{ count: fixed(isShared ? parts : room), per: isShared ? 1 : mapThreads }],
    flops: (squares ? 2 : 1) * width * capacityOf(rows),
  });
}

/** A vector is one row. */
const pitchOfRows = (x: PlannedTensor): number => (x.type.dims.length < 2 ? 0 : vectorPitch(x));

function finishReduce(planner: NodePlanner, request: ReduceRequest, partials: PlannedTensor, isShared: boolean): void {
  const root = request.finish === "sqrt(sum)";
  const total = partials.type.dims[0].size;
  launchWgsl(planner, {
    template: "reduce-finish",
    said: {
      name: root ? "finish_norm" : "finish_sum",
      summary: `Adds partial sums in order${root ? " and takes the root" : ""}.`,
      formula: `out = ${root ? "sqrt(Σ parts)" : "Σ parts"}`,
      source: "sums in chunks that depend on shape alone",
    },
    tile: isShared ? `all by one workgroup of ${sharedThreads}` : "all by one thread, in four lanes",
    operands: [
      { name: "parts", tensor: partials, access: "read", uses: ["load"] },
      { name: "out", tensor: planner.output(request.out), access: "write", uses: [] },
    ],
    counts: [{ name: "parts", count: fixed(total / 4), what: "vectors of partial sums" }],
    threads: isShared ? sharedThreads : 1,
    addsOverThreads: isShared,
    numbers: { root, isShared },
    tiles: [{ count: fixed(1), per: 1 }],
    flops: total,
  });
}
