// Plans formulas for wgsl: a thread per four elements where rows need no sums, else one thread or one workgroup per row; sums
// over rows as partial sums and a second launch that adds them in order.

import type { Operation } from "../../formula/lower.ts";
import { type PhasePlan, phasesWithoutStash } from "../../formula/phases.ts";
import { printFormula } from "../../formula/print.ts";
import { type Extent, LANE, ROW } from "../../formula/terms.ts";
import { dim, tensor as tensorType, widthOf } from "../../graph/types.ts";
import { extentOfInput, extentOfOutput, type FormulaBinding, type PortView } from "../../ops/formula-binding.ts";
import { describeNode, formulaFlops } from "../../ops/formula-op.ts";
import type { FormulaRequest } from "../../ops/skeletons.ts";
import { invariant } from "../../source/diagnostic.ts";
import { formulaKernelName, operandName, rowsOfSpace } from "../formula-space.ts";
import type { Access, Count, PlannedTensor } from "../plan.ts";
import { capacityOf, fixed, type NodePlanner, pitchOf } from "../planner.ts";
import { throughF32 } from "./convert.ts";
import type { WgslPort, WgslRows, WgslUse } from "./kernels.ts";
import { isScalar, launchWgsl, type WgslOperand } from "./launch.ts";
import { boundRows, countIn, type Piece, piecesOf, rowBytes, rowStep } from "./pieces.ts";

/** Invocations of a workgroup where nothing asks for another number. */
export const mapThreads = 64;
/** Rows per partial sum: part of the result's bits. */
const columnChunk = 32;
/** The fewest vectors of a row that a workgroup shares; one thread alone reads shorter rows. */
const sharedVectors = 16;
const mostThreads = 256;

/** A tensor that a formula reads or writes, by whatever ports. */
interface FormulaOperand {
  readonly name: string;
  readonly tensor: PlannedTensor;
  access: Access;
  readonly uses: Set<WgslUse>;
  /** How many formula rows one row of it stands for; undefined: it is no row's. */
  readonly rowsEach: number | undefined;
}

class Operands {
  readonly entries: FormulaOperand[] = [];

  /** Each tensor stands once; the name is that of whoever came first. */
  add({ name, tensor, access, uses, rowsEach }: FormulaOperand): string {
    const known = this.entries.find((entry) => entry.tensor === tensor);
    if (known !== undefined) {
      for (const use of uses) known.uses.add(use);
      if (access !== "read" && known.access === "read") known.access = "update";
      return known.name;
    }
    const isTaken = this.entries.some((entry) => entry.name === name);
    this.entries.push({ name: isTaken ? `${name}_out` : name, tensor, access, uses: new Set(uses), rowsEach });
    return this.entries[this.entries.length - 1].name;
  }

  /** Bytes of each row that a formula row stands for: what pieces are cut by. */
  get bytesPerRow(): number[] {
    return this.entries.flatMap(({ tensor, rowsEach }) => {
      return rowsEach === undefined || isScalar(tensor) ? [] : [rowBytes(tensor) / rowsEach];
    });
  }

  /** What is bound where only a piece of the rows is computed. */
  listOf(piece: Piece, isWhole: boolean): WgslOperand[] {
    return this.entries.map(({ name, tensor, access, uses, rowsEach }) => ({
      ...{ name, tensor, access, uses: [...uses].sort() },
      ...(isWhole || rowsEach === undefined || isScalar(tensor) ? {} : boundRows(tensor, piece, rowsEach)),
    }));
  }
}

export function planFormula(planner: NodePlanner, { bindings }: FormulaRequest): void {
  // What several formulas write parts of in narrow words is put together in f32 first.
  const finishes: (() => void)[] = [];
  const through = new Map<PlannedTensor, PlannedTensor>();
  const parted = new Set(bindings.flatMap((binding) => partedOutputs(planner, binding)));
  const stored: StoredIn = (out) => {
    if (!parted.has(out)) return out;
    const known = through.get(out);
    if (known !== undefined) return known;
    const { tensor: wide, finish } = throughF32(planner, out);
    through.set(out, wide);
    finishes.push(finish);
    return wide;
  };
  for (const binding of bindings) launchFormula(planner, binding, stored);
  for (const finish of finishes) finish();
}

function launchFormula(planner: NodePlanner, binding: FormulaBinding, stored: StoredIn): void {
  const { lanes, groups } = binding;
  const plan = phasesWithoutStash(binding.formula);
  const rows = rowsOfSpace(planner, binding);
  const shape = shapeOf(planner, plan, lanes.size);
  const { operands, inputs, outputs, sums } = bindPorts(planner, binding, plan, stored, rows);
  const isWorkgroup = shape.threadsPerRow > 1;
  const vectors = Math.ceil(lanes.size / 4);
  const capacity = capacityOf(rows);
  // What a row is called by its number cannot be cut: the numbers would begin again.
  const most = usesRowNumbers(plan) ? Number.POSITIVE_INFINITY : planner.target.bindingBytes;
  // Sixteen rows of partial sums are a multiple of 256 bytes.
  const step = sums.length === 0 ? rowStep : 16 * columnChunk;
  const pieces = piecesOf(capacity, operands.bytesPerRow, most, step);
  const flops = binding.part === undefined ? planner.op.flops(planner.node) : formulaFlops(binding, planner.node);
  for (const piece of pieces) {
    const count = countIn(rows, piece);
    launchWgsl(planner, {
      template: "formula",
      said: saidOf(planner, binding),
      tile: shapeText(shape),
      operands: operands.listOf(piece, pieces.length === 1),
      counts: [{ name: "rows", count, what: "rows" }],
      threads: isWorkgroup ? shape.threadsPerRow : mapThreads,
      addsOverThreads: isWorkgroup,
      numbers: {},
      formulas: { kind: "rows", rows: { plan, lanes: lanes.size, groups, inputs, outputs, ...shape } },
      tiles: [
        shape.isMap
          ? { count, times: groups * vectors, per: mapThreads }
          : { count, times: groups, per: shape.rowsPerTile * (isWorkgroup ? 1 : mapThreads) },
      ],
      flops: (flops * piece.rows) / capacity,
    });
  }
  for (const { partials, out } of sums) finishColumnSum(planner, partials, out);
}

/** Where an output is written: itself, or f32 that it is rounded from. */
type StoredIn = (out: PlannedTensor) => PlannedTensor;

/** Outputs of which a formula writes less than whole words: then none writes to them. */
function partedOutputs(planner: NodePlanner, binding: FormulaBinding): PlannedTensor[] {
  return binding.outputs.flatMap((view) => {
    const [out, extent] = [planner.output(view.operand), extentOfOutput(binding, view.port)];
    const isParted = extent !== LANE && !portOf(binding, view, extent, out, false).isAligned;
    return isParted && out.type.dtype === "bf16" ? [out] : [];
  });
}

/** Sums over rows that a second launch finishes. */
interface ColumnSums {
  readonly partials: PlannedTensor;
  readonly out: PlannedTensor;
}

interface BoundPorts {
  readonly operands: Operands;
  readonly inputs: readonly WgslPort[];
  readonly outputs: readonly WgslPort[];
  readonly sums: readonly ColumnSums[];
}

function bindPorts(
  planner: NodePlanner,
  binding: FormulaBinding,
  plan: PhasePlan,
  stored: StoredIn,
  rows: Count,
): BoundPorts {
  const operands = new Operands();
  const sums: ColumnSums[] = [];
  const rowsEach = ({ extent }: WgslPort) => ((extent & ROW) === 0 ? undefined : 1);
  const inputs = binding.inputs.map((view): WgslPort => {
    const tensor = planner.input(view.operand);
    const port = portOf(binding, view, extentOfInput(binding, view.port), tensor, true);
    const uses: WgslUse[] = [port.isAligned ? "load" : "at", ...(isPicked(plan, view.port) ? (["at"] as const) : [])];
    const name = operandName(binding.inputs, view);
    const operand = operands.add({ name, tensor, access: "read", uses: new Set(uses), rowsEach: rowsEach(port) });
    return { ...port, operand };
  });
  const outputs = binding.outputs.map((view): WgslPort => {
    const extent = extentOfOutput(binding, view.port);
    const out = planner.output(view.operand);
    if (extent === LANE) {
      const chunks = Math.ceil((capacityOf(rows) * binding.groups) / columnChunk);
      const partials = planner.workspace(tensorType("f32", dim("chunks", chunks), binding.lanes));
      sums.push({ partials, out });
      const port = portOf(binding, view, extent, partials, false);
      const uses = new Set<WgslUse>(["load", "store"]);
      const each = columnChunk / binding.groups;
      const name = `${view.port}_parts`;
      return { ...port, operand: operands.add({ name, tensor: partials, access: "write", uses, rowsEach: each }) };
    }
    const tensor = stored(out);
    const port = portOf(binding, view, extent, tensor, false);
    const access = binding.part === undefined ? "write" : "part";
    const uses = new Set<WgslUse>([port.isAligned ? "store" : "put"]);
    const name = operandName(binding.outputs, view);
    return { ...port, operand: operands.add({ name, tensor, access, uses, rowsEach: rowsEach(port) }) };
  });
  return { operands, inputs, outputs, sums };
}

const operationsOf = ({ phases }: PhasePlan): Operation[] =>
  phases.flatMap(({ rowValues, loop }) => [...rowValues, ...loop]);

const isPicked = (plan: PhasePlan, port: string): boolean =>
  operationsOf(plan).some(({ op, input }) => op === "pick" && input === port);

const usesRowNumbers = (plan: PhasePlan): boolean =>
  operationsOf(plan).some(({ op, axis }) => (op === "index" || op === "count") && axis === ROW);

export type RowsShape = Pick<WgslRows, "rowsPerTile" | "threadsPerRow" | "isMap">;

/** How threads share the work; part of it is whether the target has barriers. */
export function shapeOf(planner: NodePlanner, plan: PhasePlan, lanes: number): RowsShape {
  const vectors = Math.ceil(lanes / 4);
  const hasSums = plan.phases.some(({ reductions }) => reductions.length > 0);
  const hasColumnSums = plan.phases.some(({ columnSums }) => columnSums.length > 0);
  const hasRowStores = plan.phases.some(({ rowStores }) => rowStores.length > 0);
  const isMap = !hasSums && !hasColumnSums && !hasRowStores;
  const isShared = planner.target.profile === "gpu" && !isMap && vectors >= sharedVectors;
  // A power of two, so that sums halve.
  const threads = isShared ? Math.min(mostThreads, 2 ** Math.floor(Math.log2(vectors))) : 1;
  return { isMap, rowsPerTile: hasColumnSums ? columnChunk : 1, threadsPerRow: threads };
}

export const shapeText = ({ isMap, rowsPerTile, threadsPerRow }: RowsShape): string =>
  isMap
    ? "four elements per thread"
    : `${rowsPerTile === 1 ? "one row" : `${rowsPerTile} rows`} per ${threadsPerRow === 1 ? "thread" : `workgroup of ${threadsPerRow}`}`;

function saidOf(planner: NodePlanner, binding: FormulaBinding) {
  const name = formulaKernelName(planner, binding);
  const { summary, source } = describeNode(planner.node, planner.op);
  const formula = binding.part === undefined ? planner.op.formula(planner.node) : printFormula(binding.formula);
  return { name, summary, formula, source };
}

function portOf(
  { groups, lanes }: FormulaBinding,
  view: PortView,
  extent: Extent,
  from: PlannedTensor,
  isInput: boolean,
): WgslPort {
  const { port, laneStart, laneStep, groupStep } = view;
  // A column of one group, such as of a single head, stands in rows like any other number of groups.
  const isColumn = from.type.dims.length > 1 && widthOf(from.type) === 1;
  const isPerRow = (extent & LANE) === 0 && groups === 1 && !isColumn;
  const pitch = isPerRow ? 1 : pitchOf(from);
  const isWholeVectors = [laneStart, ...(groups > 1 ? [groupStep] : [])].every((at) => at % 4 === 0);
  // Lanes behind the last one are the row's padding, or somebody else's.
  const width = from.type.dims.length < 2 ? (from.type.dims[0]?.size ?? 1) : widthOf(from.type);
  const ownsRest = isInput || lanes.size % 4 === 0 || (groups === 1 && laneStart + lanes.size === width);
  const hasLanes = (extent & LANE) !== 0;
  return {
    port,
    extent,
    operand: "",
    isScalar: isScalar(from),
    dtype: from.type.dtype,
    pitch,
    laneStart,
    laneStep,
    groupStep: (extent & LANE) === 0 ? 1 : groupStep,
    isAligned: hasLanes && laneStep === 1 && isWholeVectors && ownsRest && !isScalar(from),
  };
}

function finishColumnSum(planner: NodePlanner, partials: PlannedTensor, out: PlannedTensor): void {
  const width = out.type.dims[0]?.size ?? 1;
  const [chunks, vectors] = [partials.layout.kind === "rows" ? partials.layout.rows : 0, Math.ceil(width / 4)];
  invariant(!isScalar(out), `${out.name} is a column`);
  launchWgsl(planner, {
    template: "column-sum",
    said: {
      name: `column_sum_w${width}`,
      summary: "Adds partial sums of columns, in order.",
      formula: "out[c] = Σ_r parts[r, c], in ascending r",
      source: "sum over rows in fixed chunks",
    },
    tile: "four columns per thread",
    operands: [
      { name: "parts", tensor: partials, access: "read", uses: ["load"] },
      { name: "out", tensor: out, access: "write", uses: ["store"] },
    ],
    counts: [{ name: "rows", count: fixed(chunks), what: "rows of parts" }],
    threads: mapThreads,
    numbers: { vectors, pitch: pitchOf(partials) / 4 },
    tiles: [{ count: fixed(vectors), per: mapThreads }],
    flops: chunks * width,
  });
}
