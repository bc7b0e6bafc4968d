// A formula over rows → the view of templates/wgsl/formula.wgsl.hbs: what a thread does with its four elements, or its row.

import type { Operation } from "../../formula/lower.ts";
import type { Phase } from "../../formula/phases.ts";
import { countReaders } from "../../formula/readers.ts";
import { LANE, ROW } from "../../formula/terms.ts";
import type { WgslKernel, WgslPort, WgslRows } from "../../kernels/wgsl/kernels.ts";
import { invariant } from "../../source/diagnostic.ts";
import { elementaryFunctions } from "../../targets/wgsl/elementary.ts";
import { memberName, wgslName } from "../../targets/wgsl/names.ts";
import { floatText, type Leaves, LocalNames, Speller } from "../../targets/wgsl/spell.ts";

export interface RowsView {
  readonly elementary: readonly string[];
  readonly lanes: number;
  readonly vectors: number;
  readonly isMap: boolean;
  readonly sharesRows: boolean;
  readonly rowsPerTile: number;
  /** How many rows there are in this run. */
  readonly rowCount: string;
  readonly prologue: readonly string[];
  readonly body: readonly string[];
}

/** Names that the template and the declarations give. */
const reserved = ["index", "first", "end", "row_tile", "lane", "o", "g"];

export function rowsView(kernel: WgslKernel, rows: WgslRows): RowsView {
  return new RowsWriter(kernel, rows).view();
}

const indented = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);

class RowsWriter {
  readonly #kernel: WgslKernel;
  readonly #rows: WgslRows;
  readonly #locals: LocalNames;
  readonly #called = new Set<string>();
  /** Spellings of what does not change along the row. */
  #known: ReadonlyMap<Operation, string> = new Map();

  constructor(kernel: WgslKernel, rows: WgslRows) {
    this.#kernel = kernel;
    this.#rows = rows;
    const accessors = kernel.bindings.flatMap(({ name }) => [
      `load_${name}`,
      `store_${name}`,
      `${name}_at`,
      `put_${name}`,
    ]);
    const names = [...kernel.bindings.map(({ name }) => wgslName(name)), ...accessors, kernel.facts.name];
    this.#locals = new LocalNames([...reserved, ...names]);
  }

  view(): RowsView {
    const { lanes, groups, isMap, threadsPerRow, rowsPerTile, plan } = this.#rows;
    const prologue = this.#uniformValues();
    const start = isMap ? [] : this.#rowStart();
    const body = plan.phases.flatMap((phase, i) => (isMap ? this.#element(phase) : this.#phase(phase, i)));
    const count = "words.rows";
    return {
      elementary: elementaryFunctions(this.#called),
      lanes,
      vectors: Math.ceil(lanes / 4),
      isMap,
      sharesRows: threadsPerRow > 1,
      rowsPerTile,
      rowCount: groups === 1 ? count : `${count} * ${groups}u`,
      prologue: [...prologue, ...(isMap ? this.#rowStart() : [])],
      body: [...start, ...body],
    };
  }

  /** Operand row and group of a formula row. */
  #rowStart(): string[] {
    const { groups, inputs, outputs } = this.#rows;
    const needsRow = [...inputs, ...outputs].some(({ extent }) => (extent & ROW) !== 0);
    if (groups === 1 || !needsRow) return [];
    return [`let o = row / ${groups}u;`, `let g = row % ${groups}u;`];
  }

  /** Elements from the operand's start to what the port has of this row, in units of `unit` elements. */
  #base({ extent, pitch, laneStart, groupStep }: WgslPort, unit: 1 | 4): string {
    const { groups } = this.#rows;
    const parts: string[] = [];
    const times = (index: string, step: number) => (step === 1 ? index : `${index} * ${step}u`);
    if ((extent & ROW) !== 0) {
      parts.push(times(groups === 1 ? "row" : "o", pitch / unit));
      if (groups > 1 && groupStep > 0) parts.push(times("g", groupStep / unit));
    }
    if (laneStart > 0) parts.push(`${laneStart / unit}u`);
    return parts.join(" + ");
  }

  #port(ports: readonly WgslPort[], name: string): WgslPort {
    const port = ports.find((p) => p.port === name);
    invariant(port !== undefined, `kernel ${this.#kernel.facts.name} has no port ${name}`);
    return port;
  }

  #leaves(): Leaves {
    const { inputs, lanes, groups } = this.#rows;
    return {
      input: (operation) => this.#load(this.#port(inputs, operation.input ?? "")),
      index: (axis) => (axis === ROW ? "i32(row)" : "(i32(4u * vector) + vec4i(0, 1, 2, 3))"),
      count: (axis) =>
        axis === LANE ? floatText(lanes) : groups === 1 ? "f32(words.rows)" : `f32(words.rows * ${groups}u)`,
      pick: (input, index) => {
        const port = this.#port(inputs, input);
        const base = this.#base(port, 1);
        const column = port.laneStep === 1 ? `u32(${index})` : `u32(${index}) * ${port.laneStep}u`;
        return `${port.operand}_at(${base === "" ? column : `${base} + ${column}`})`;
      },
    };
  }

  #load(port: WgslPort): string {
    const { operand, extent, isScalar, isAligned, laneStep } = port;
    if (isScalar) {
      const value = `scalars[words.${memberName(operand)}]`;
      return (extent & LANE) === 0 ? value : `vec4f(${value})`;
    }
    if ((extent & LANE) === 0) return `${operand}_at(${this.#base(port, 1) || "0u"})`;
    if (isAligned) return `load_${operand}(${sum(this.#base(port, 4), "vector")})`;
    const at = sum(this.#base(port, 1), laneStep === 1 ? "4u * vector" : `${4 * laneStep}u * vector`);
    const lanes = [0, 1, 2, 3].map((k) => `${operand}_at(${k === 0 ? at : `${at} + ${k * laneStep}u`})`);
    return `vec4f(${lanes.join(", ")})`;
  }

  /** Stores a value of the row's elements; lanes behind the last one belong to somebody else. */
  #store(port: WgslPort, value: string): string[] {
    const { operand, isAligned, laneStep, isScalar } = port;
    const { lanes } = this.#rows;
    if (isScalar) return [`scalars[words.${memberName(operand)}] = ${value}.x;`];
    if (isAligned) return [`store_${operand}(${sum(this.#base(port, 4), "vector")}, ${value});`];
    const name = this.#locals.fresh(`${port.port}_values`);
    const at = sum(this.#base(port, 1), laneStep === 1 ? "4u * vector" : `${4 * laneStep}u * vector`);
    const puts = [0, 1, 2, 3].map(
      (k) => `put_${operand}(${k === 0 ? at : `${at} + ${k * laneStep}u`}, ${name}[${k}]);`,
    );
    return [`let ${name} = ${value};`, puts[0], ...this.#guarded(puts.slice(1), lanes)];
  }

  /** A row of a multiple of four elements needs no test; of others only those that exist are written. */
  #guarded(puts: readonly string[], lanes: number): string[] {
    if (lanes % 4 === 0) return [...puts];
    return puts.flatMap((put, i) => [`if (4u * vector + ${i + 1}u < LANES) {`, `  ${put}`, "}"]);
  }

  #speller(): Speller {
    const { names } = this.#rows.plan;
    return new Speller({
      leaves: this.#leaves(),
      names,
      locals: this.#locals,
      called: this.#called,
      known: this.#known,
    });
  }

  /** Values that are the same for every row. */
  #uniformValues(): string[] {
    const { phases } = this.#rows.plan;
    const uniform = phases.flatMap(({ rowValues }) => rowValues).filter(({ extent }) => extent === 0);
    const speller = this.#speller();
    speller.compute(uniform, new Map(uniform.map((operation) => [operation, 2])));
    this.#known = speller.known;
    return speller.lines;
  }

  /** What a thread of a map does. */
  #element(phase: Phase): string[] {
    const speller = this.#speller();
    speller.compute(phase.rowValues, this.#readersOf(phase));
    speller.compute(phase.loop, this.#readersOf(phase));
    const stores = phase.elementStores.flatMap(({ name, operation }) => {
      const port = this.#port(this.#rows.outputs, name);
      return this.#store(port, speller.realVector(operation));
    });
    return [...speller.lines, ...stores];
  }

  #readersOf(phase: Phase): Map<Operation, number> {
    const consumers = [
      ...phase.reductions.map((r) => r.args[0]),
      ...phase.columnSums.map((s) => s.operation.args[0]),
      ...phase.elementStores.map((s) => s.operation),
    ];
    return countReaders([...phase.rowValues, ...phase.loop], consumers);
  }

  #phase(phase: Phase, index: number): string[] {
    const before = this.#rowLevel(phase);
    const parts = phase.reductions.map((r) => this.#locals.fresh(`${this.#rows.plan.names.get(r) ?? r.op}_part`));
    const resets = phase.reductions.map((r, i) => `var ${parts[i]} = vec4f(${neutral(r)});`);
    const loop = this.#loop(phase, parts);
    const after = phase.reductions.map((r, i) => this.#finish(r, parts[i]));
    return [`// ${commentOf(phase, index)}`, ...before, ...resets, ...loop, ...after];
  }

  /** Values of the whole row, and what is stored of them. */
  #rowLevel(phase: Phase): string[] {
    const speller = this.#speller();
    const own = phase.rowValues.filter(({ extent }) => extent !== 0);
    // A loop must not compute again what does not change in it.
    speller.compute(own, new Map(own.map((operation) => [operation, 2])));
    const stores = phase.rowStores.flatMap(({ name, operation }) => {
      const port = this.#port(this.#rows.outputs, name);
      const value = speller.real(operation);
      if (port.isScalar) return [`scalars[words.${memberName(port.operand)}] = ${value};`];
      return [`put_${port.operand}(${this.#base(port, 1) || "0u"}, ${value});`];
    });
    this.#known = speller.known;
    return [...speller.lines, ...(this.#rows.threadsPerRow > 1 ? byOneThread(stores) : stores)];
  }

  #loop(phase: Phase, parts: readonly string[]): string[] {
    if (phase.loop.length + phase.elementStores.length === 0) return [];
    const { threadsPerRow } = this.#rows;
    const speller = this.#speller();
    speller.compute(phase.loop, this.#readersOf(phase));
    const lines = [
      ...phase.reductions.map((reduction, i) => {
        const value = this.#onlyLanes(speller.realVector(reduction.args[0]), neutral(reduction));
        return reduction.op === "sum" ? `${parts[i]} += ${value};` : `${parts[i]} = max(${parts[i]}, ${value});`;
      }),
      ...phase.columnSums.flatMap(({ name, operation }) =>
        this.#columnSum(name, speller.realVector(operation.args[0])),
      ),
      ...phase.elementStores.flatMap(({ name, operation }) => {
        return this.#store(this.#port(this.#rows.outputs, name), speller.realVector(operation));
      }),
    ];
    const head =
      threadsPerRow > 1
        ? "for (var vector = thread; vector < VECTORS; vector += THREADS) {"
        : "for (var vector = 0u; vector < VECTORS; vector++) {";
    return [head, ...indented([...speller.lines, ...lines]), "}"];
  }

  /** Each tile has a row of partial sums of its own, which its first row begins. */
  #columnSum(name: string, value: string): string[] {
    const port = this.#port(this.#rows.outputs, name);
    const tile = this.#rows.threadsPerRow > 1 ? "tile" : "row_tile";
    const at = `${tile} * ${port.pitch / 4}u + vector`;
    const summand = this.#onlyLanes(value, "0.0");
    return [
      `store_${port.operand}(${at}, ${summand} + select(load_${port.operand}(${at}), vec4f(0.0), row == first));`,
    ];
  }

  /** Lanes behind the last one count for nothing. */
  #onlyLanes(value: string, nothing: string): string {
    if (this.#rows.lanes % 4 === 0) return value;
    return `select(vec4f(${nothing}), ${value}, vec4u(4u * vector) + vec4u(0u, 1u, 2u, 3u) < vec4u(LANES))`;
  }

  #finish(reduction: Operation, part: string): string {
    const name = this.#locals.fresh(this.#rows.plan.names.get(reduction) ?? reduction.op);
    const isSum = reduction.op === "sum";
    const [x, y, z, w] = ["x", "y", "z", "w"].map((lane) => `${part}.${lane}`);
    const own = isSum ? `(${x} + ${y}) + (${z} + ${w})` : `max(max(${x}, ${y}), max(${z}, ${w}))`;
    const value = this.#rows.threadsPerRow === 1 ? own : `workgroup_${isSum ? "sum" : "maximum"}(thread, ${own})`;
    this.#known = new Map([...this.#known, [reduction, name]]);
    return `let ${name} = ${value};`;
  }
}

const sum = (a: string, b: string): string => (a === "" ? b : `${a} + ${b}`);

const neutral = ({ op }: Operation): string => (op === "sum" ? "0.0" : floatText(Number.NEGATIVE_INFINITY));

const byOneThread = (lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : ["if (thread == 0u) {", ...indented(lines), "}"];

function commentOf(phase: Phase, index: number): string {
  const parts = [
    ...phase.reductions.map((r) => `${r.op} of the row`),
    ...phase.columnSums.map((s) => `sums of ${s.name}`),
    ...[...phase.rowStores, ...phase.elementStores].map((s) => s.name),
  ];
  return `phase ${index + 1}: ${parts.join(", ")}`;
}
