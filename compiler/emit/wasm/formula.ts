// A formula kernel → the view of templates/wasm/formula.wat.hbs: loops over rows and lanes with spelled statements.

import type { Operation } from "../../formula/lower.ts";
import type { Phase, PhasePlan } from "../../formula/phases.ts";
import { countReaders } from "../../formula/readers.ts";
import { LANE, ROW } from "../../formula/terms.ts";
import { bytesOf } from "../../graph/types.ts";
import type { FormulaKernel, FormulaPort } from "../../kernels/wasm/kernels.ts";
import { invariant } from "../../source/diagnostic.ts";
import { addBytes, get, i32, offsetText, WatCode } from "../../targets/wasm/code.ts";
import { countInstructions, type Leaves, Speller } from "../../targets/wasm/spell.ts";
import { laneBytes, loadEven, loadFour, loadSplat, putLanes, type Real } from "../../targets/wasm/storage.ts";
import { type ModuleView, moduleView, type OperandView, operandViews } from "./module.ts";

interface LoopView {
  readonly label: string;
  /** Byte offsets of the first lane, of the end, and from pass to pass. */
  readonly from: number;
  readonly to: number;
  readonly step: number;
  readonly lines: readonly string[];
}

interface PhaseView {
  readonly comment: string;
  readonly before: readonly string[];
  readonly loops: readonly LoopView[];
  readonly after: readonly string[];
}

export interface FormulaView extends ModuleView {
  readonly name: string;
  /** Whether the function is the kernel itself, or a part of one. */
  readonly isExported: boolean;
  readonly operands: readonly OperandView[];
  readonly rowsOffset: number;
  readonly rowsPerTile: number;
  readonly groups: number;
  readonly hasGroups: boolean;
  readonly prologue: readonly string[];
  readonly tileStart: readonly string[];
  readonly rowStart: readonly string[];
  readonly phases: readonly PhaseView[];
}

/** Vectors per pass: four accumulators hide the latency of an addition; the number is part of the result's bits. */
const reductionUnroll = 4;
/** Without a reduction repeating changes no bits; long loops gain nothing from it. */
const plainUnroll = (instructions: number): number => (instructions <= 12 ? 4 : instructions <= 24 ? 2 : 1);

/** Locals that the template declares. */
const templateLocals = ["table", "begin", "end", "rows", "tile", "row", "row_end", "group", "lane"];

/** Integers are read as the words that they are. */
const realOf = ({ dtype }: FormulaPort): Real => (dtype === "bf16" ? "bf16" : "f32");

/** Bytes from the row's lanes to those of a unit of four. */
const laneOffset = ({ dtype, laneStart, laneStep }: FormulaPort, unit: number): number =>
  bytesOf[dtype] * (laneStart + 4 * laneStep * unit);

export function formulaView(kernel: FormulaKernel): FormulaView {
  return new FormulaWriter(kernel).view();
}

class FormulaWriter {
  readonly #kernel: FormulaKernel;
  readonly #plan: PhasePlan;
  readonly #code: WatCode;
  readonly #operands: readonly OperandView[];
  readonly #inputs: ReadonlyMap<string, FormulaPort>;
  readonly #outputs: ReadonlyMap<string, FormulaPort>;
  /** Spellings of values that do not change along the row. */
  #rowKnown: ReadonlyMap<Operation, string> = new Map();

  constructor(kernel: FormulaKernel) {
    this.#kernel = kernel;
    this.#plan = kernel.plan;
    this.#operands = operandViews(kernel.facts);
    this.#code = new WatCode(templateLocals);
    this.#inputs = new Map(kernel.inputs.map((port) => [port.port, port]));
    this.#outputs = new Map(kernel.outputs.map((port) => [port.port, port]));
  }

  view(): FormulaView {
    const { facts, groups, rowsPerTile } = this.#kernel;
    const prologue = this.#lines(() => this.#uniformValues());
    const tileStart = this.#lines(() => this.#resetColumnSums());
    const rowStart = this.#lines(() => this.#addresses());
    const phases = this.#plan.phases.map((phase, i) => this.#phase(phase, i));
    const rowsOffset = 4 * this.#operands.length;
    const usesScratch = this.#plan.stash.length > 0;
    return {
      ...moduleView(this.#code, usesScratch),
      name: facts.name,
      isExported: true,
      operands: this.#operands,
      rowsOffset,
      rowsPerTile,
      groups,
      hasGroups: groups > 1,
      prologue,
      tileStart,
      rowStart,
      phases,
    };
  }

  #lines(body: () => void): string[] {
    const start = this.#code.lines.length;
    body();
    return this.#code.lines.splice(start);
  }

  #operand(port: FormulaPort): string {
    return get(this.#operands[port.operand].local);
  }

  /** The address of a port's first lane in the current row. */
  #at(port: FormulaPort): string {
    return (port.extent & ROW) === 0 ? this.#operand(port) : get(`${port.port}.at`);
  }

  #addresses(): void {
    const { groups, inputs, outputs } = this.#kernel;
    const done = new Set<string>();
    for (const port of [...inputs, ...outputs]) {
      // What is updated in place has one address for reading and writing.
      if ((port.extent & ROW) === 0 || done.has(port.port)) continue;
      done.add(port.port);
      const local = this.#code.shared(`${port.port}.at`, "i32");
      const row = `(i32.add ${this.#operand(port)} (i32.mul (local.get $row) ${i32(port.pitch * bytesOf[port.dtype])}))`;
      const isPerRow = (port.extent & LANE) === 0;
      const step = isPerRow ? 1 : port.groupStep;
      const hasGroup = groups > 1 && step > 0;
      this.#code.set(
        local,
        hasGroup ? addBytes(row, `(i32.mul (local.get $group) ${i32(step * bytesOf[port.dtype])})`) : row,
      );
    }
  }

  #columnSums(): FormulaPort[] {
    return this.#kernel.outputs.filter((port) => port.extent === LANE);
  }

  /** Each tile has a row of partial sums of its own. */
  #resetColumnSums(): void {
    for (const port of this.#columnSums()) {
      const local = this.#code.shared(`${port.port}.sums`, "i32");
      const bytes = port.pitch * 4;
      this.#code.set(local, `(i32.add ${this.#operand(port)} (i32.mul (local.get $tile) ${i32(bytes)}))`);
      this.#code.put(`(memory.fill ${get(local)} (i32.const 0) ${i32(bytes)})`);
    }
  }

  #isUniform(operation: Operation): boolean {
    return operation.extent === 0;
  }

  #uniformValues(): void {
    const uniform = this.#plan.phases.flatMap((phase) => phase.rowValues).filter((o) => this.#isUniform(o));
    if (uniform.some((o) => o.args.length > 0)) this.#code.comment("the same for every row");
    this.#rowKnown = this.#rowLevel(uniform);
  }

  /** Computes values of the whole row into locals: each is read by loops, which must not compute it again. */
  #rowLevel(operations: readonly Operation[]): ReadonlyMap<Operation, string> {
    const speller = new Speller(this.#code, this.#leaves(0), this.#plan.names, this.#rowKnown);
    speller.compute(operations, this.#rowReaders());
    return speller.known;
  }

  #rowReaders(): Map<Operation, number> {
    const all = this.#plan.phases.flatMap((phase) => [...phase.rowValues, ...phase.loop]);
    const readers = countReaders([...new Set(all)], []);
    const inLoops = new Set(this.#plan.phases.flatMap((phase) => phase.loop).flatMap((o) => o.args));
    for (const phase of this.#plan.phases) {
      for (const { operation } of phase.elementStores) inLoops.add(operation);
      for (const r of [...phase.reductions, ...phase.columnSums.map((s) => s.operation)]) inLoops.add(r.args[0]);
    }
    for (const operation of inLoops) readers.set(operation, (readers.get(operation) ?? 0) + 2);
    // What is the same for all rows is computed once, before the first.
    for (const o of all) if (this.#isUniform(o) && o.args.length > 0) readers.set(o, (readers.get(o) ?? 0) + 2);
    return readers;
  }

  #leaves(unit: number): Leaves {
    return {
      input: (operation) => this.#load(this.#port(this.#inputs, operation.input ?? ""), unit),
      index: (axis) => {
        if (axis === ROW) return "(i32x4.splat (local.get $row))";
        const lanes = this.#code.vector(
          `lanes${4 * unit}`,
          `(v128.const i32x4 ${[0, 1, 2, 3].map((l) => l + 4 * unit).join(" ")})`,
        );
        return `(i32x4.add (i32x4.splat (i32.shr_u (local.get $lane) (i32.const 2))) ${lanes})`;
      },
      count: (axis) =>
        axis === LANE ? this.#code.float(this.#kernel.lanes) : "(f32x4.splat (f32.convert_i32_u (local.get $rows)))",
      pick: (input, index) => {
        const port = this.#port(this.#inputs, input);
        const bytes = bytesOf[port.dtype];
        const column = `(i32.shl (i32x4.extract_lane 0 ${index}) ${i32(Math.log2(bytes * port.laneStep))})`;
        return loadSplat(realOf(port), addBytes(this.#at(port), column), port.laneStart * bytes);
      },
    };
  }

  #port(ports: ReadonlyMap<string, FormulaPort>, name: string): FormulaPort {
    const port = ports.get(name);
    invariant(port !== undefined, `kernel ${this.#kernel.facts.name} has no port ${name}`);
    return port;
  }

  #laneAddress(port: FormulaPort, base: string): string {
    return addBytes(base, laneBytes(realOf(port), port.laneStep));
  }

  #load(port: FormulaPort, unit: number): string {
    const format = realOf(port);
    if ((port.extent & LANE) === 0) return loadSplat(format, this.#at(port));
    const address = this.#laneAddress(port, this.#at(port));
    const load = port.laneStep === 1 ? loadFour : loadEven;
    return load(format, address, laneOffset(port, unit));
  }

  /** Stores the first `lanes` of a vector; what lies behind them belongs to somebody else. */
  #store(port: FormulaPort, unit: number, value: string, lanes: number): void {
    const address = this.#laneAddress(port, this.#at(port));
    const where = { offset: laneOffset(port, unit), lanes, step: port.laneStep };
    putLanes(this.#code, realOf(port), address, value, where);
  }

  #phase(phase: Phase, index: number): PhaseView {
    const before = this.#lines(() => {
      this.#rowKnown = this.#rowLevel(phase.rowValues);
      const speller = new Speller(this.#code, this.#leaves(0), this.#plan.names, this.#rowKnown);
      for (const { name, operation } of phase.rowStores) {
        const port = this.#port(this.#outputs, name);
        invariant(port.dtype !== "bf16", `${name} is a number per row, and those are stored in f32`);
        this.#code.put(`(v128.store32_lane 0 ${this.#at(port)} ${speller.real(operation)})`);
      }
    });
    const unroll = phase.reductions.length > 0 ? reductionUnroll : plainUnroll(countInstructions(phase.loop));
    const accumulators = phase.reductions.map((r) => this.#accumulators(r, unroll));
    const resets = this.#lines(() => this.#resetAccumulators(phase, accumulators));
    const loops = this.#loops(phase, index, unroll, accumulators);
    const after = this.#lines(() => this.#finish(phase, accumulators));
    return { comment: this.#comment(phase, index), before: [...before, ...resets], loops, after };
  }

  #comment(phase: Phase, index: number): string {
    const parts = [
      ...phase.reductions.map((r) => `${r.op} of the row`),
      ...phase.columnSums.map((s) => `sums of ${s.name}`),
      ...[...phase.rowStores, ...phase.elementStores].map((s) => s.name),
    ];
    return `phase ${index + 1}: ${parts.join(", ")}`;
  }

  #accumulators(reduction: Operation, unroll: number): string[] {
    const wanted = this.#plan.names.get(reduction) ?? reduction.op;
    return Array.from({ length: unroll }, (_, u) => this.#code.fresh(`${wanted}_part${u}`, "v128"));
  }

  #neutral(reduction: Operation): string {
    return this.#code.float(reduction.op === "sum" ? 0 : Number.NEGATIVE_INFINITY);
  }

  #resetAccumulators(phase: Phase, accumulators: readonly (readonly string[])[]): void {
    phase.reductions.forEach((reduction, i) => {
      for (const local of accumulators[i]) this.#code.set(local, this.#neutral(reduction));
    });
  }

  /** Full passes, single vectors that are left, and the last lanes. */
  #loops(phase: Phase, index: number, unroll: number, accumulators: readonly (readonly string[])[]): LoopView[] {
    if (phase.loop.length + phase.elementStores.length === 0) return [];
    const { lanes } = this.#kernel;
    const whole = Math.floor(lanes / 4);
    const passes = Math.floor(whole / unroll);
    const loops: LoopView[] = [];
    const loop = (label: string, from: number, to: number, step: number, units: number, width: number) => {
      const vectors = Array.from({ length: units }, (_, unit) => {
        const parts = accumulators.map((a) => a[unit]);
        return this.#lines(() => this.#vector(phase, unit, parts, width));
      });
      const lines = vectors.flatMap((vector, unit) =>
        vector.length > 2 && unit > 0 ? [`;; lanes ${4 * unit} to ${4 * unit + 3} of this pass`, ...vector] : vector,
      );
      loops.push({ label: `${label}${index + 1}`, from, to, step, lines });
    };
    if (passes > 0) loop("vectors", 0, passes * unroll * 16, unroll * 16, unroll, 4);
    if (passes * unroll < whole) loop("single", passes * unroll * 16, whole * 16, 16, 1, 4);
    if (lanes % 4 !== 0) loop("last", whole * 16, whole * 16 + 16, 16, 1, lanes % 4);
    return loops;
  }

  #vector(phase: Phase, unit: number, accumulators: readonly string[], lanes: number): void {
    const code = this.#code;
    const speller = new Speller(code, this.#leaves(unit), this.#plan.names, this.#rowKnown);
    for (const operation of phase.unstashed) {
      const local = code.fresh(this.#plan.names.get(operation) ?? "kept", "v128");
      code.set(local, `(v128.load ${this.#stashAddress(operation, unit)})`);
      speller.define(operation, get(local));
    }
    const consumers = [
      ...phase.reductions.map((r) => r.args[0]),
      ...phase.columnSums.map((s) => s.operation.args[0]),
      ...phase.elementStores.map((s) => s.operation),
      ...phase.stashed,
    ];
    speller.compute(phase.loop, countReaders(phase.loop, consumers));
    for (const operation of phase.stashed) {
      code.put(`(v128.store ${this.#stashAddress(operation, unit)} ${speller.real(operation)})`);
    }
    phase.reductions.forEach((reduction, i) => {
      const value = this.#onlyLanes(speller.real(reduction.args[0]), lanes, this.#neutral(reduction));
      const combine = reduction.op === "sum" ? "add" : "pmax";
      code.set(accumulators[i], `(f32x4.${combine} ${get(accumulators[i])} ${value})`);
    });
    for (const { name, operation } of phase.columnSums) {
      const port = this.#port(this.#outputs, name);
      const address = this.#laneAddress(port, get(`${port.port}.sums`));
      const value = this.#onlyLanes(speller.real(operation.args[0]), lanes, code.float(0));
      const offset = offsetText(16 * unit);
      code.put(`(v128.store${offset} ${address} (f32x4.add (v128.load${offset} ${address}) ${value}))`);
    }
    for (const { name, operation } of phase.elementStores) {
      this.#store(this.#port(this.#outputs, name), unit, speller.real(operation), lanes);
    }
  }

  #onlyLanes(value: string, lanes: number, neutral: string): string {
    if (lanes === 4) return value;
    const bits = [0, 1, 2, 3].map((l) => (l < lanes ? -1 : 0));
    return `(v128.bitselect ${value} ${neutral} ${this.#code.vector(`first${lanes}`, `(v128.const i32x4 ${bits.join(" ")})`)})`;
  }

  /** One slot of the thread's scratch per stashed value: a row of whole vectors. */
  #stashAddress(operation: Operation, unit: number): string {
    const slotBytes = Math.ceil(this.#kernel.lanes / 4) * 16;
    const offset = this.#plan.stash.indexOf(operation) * slotBytes + 16 * unit;
    return addBytes("(i32.add (global.get $scratch) (local.get $lane))", offset);
  }

  /** Combines the parts in order and spreads the result over four lanes. */
  #finish(phase: Phase, accumulators: readonly (readonly string[])[]): void {
    const code = this.#code;
    const known = new Map(this.#rowKnown);
    phase.reductions.forEach((reduction, i) => {
      const combine = (a: string, b: string) => `(f32x4.${reduction.op === "sum" ? "add" : "pmax"} ${a} ${b})`;
      const [first, ...others] = accumulators[i];
      for (const local of others) code.set(first, combine(get(first), get(local)));
      const swap = (pattern: string) => `(i8x16.shuffle ${pattern} ${get(first)} ${get(first)})`;
      code.set(first, combine(get(first), swap("8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7")));
      const result = code.fresh(this.#plan.names.get(reduction) ?? reduction.op, "v128");
      code.set(result, combine(get(first), swap("4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11")));
      known.set(reduction, get(result));
    });
    this.#rowKnown = known;
  }
}
