// What the skeletons share while one graph is planned for a target: tensors of values, workspace, derived copies, tiles.

import type { Node, Value } from "../graph/graph.ts";
import { bytesOf, printType, rowsOf, type TensorType, widthOf } from "../graph/types.ts";
import type { Op } from "../ops/contract.ts";
import { describeNode, labelOf } from "../ops/formula-op.ts";
import { invariant } from "../source/diagnostic.ts";
import type { Note } from "../source/notes.ts";
import {
  type Count,
  capacityOf,
  type Kernel,
  type KernelFacts,
  type Launch,
  type Operand,
  type PlannedTensor,
  type Use,
} from "./plan.ts";
import type { Target } from "./target.ts";

/** Rows, columns and contraction length of a matmul's work item. */
export interface MatmulTile {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

/** Copies of parameters in another layout, shared by all programs; made once per update. */
export class DerivedTensors {
  readonly #launches = new Map<string, { readonly tensor: PlannedTensor; readonly launch: Launch }>();

  /** By name: copies that are made only if a launch reads them, and the parameters that they are copies of. */
  readonly #offers = new Map<string, { readonly master: PlannedTensor; readonly launches: readonly Launch[] }>();

  /** What makes all copies that there are to be; with `all` also those that nothing reads. */
  launchesFor(readers: readonly Launch[], all: boolean): readonly Launch[] {
    const names = new Set(
      readers.flatMap(({ operands }) => operands.flatMap((o) => (o.kind === "tensor" ? [o.tensor.name] : []))),
    );
    const wanted = [...this.#offers].filter(([name]) => all || names.has(name));
    const made = [...this.#launches.values()].map(({ launch }) => launch);
    return [...made, ...wanted.flatMap(([, { launches }]) => launches)];
  }

  offer({ name }: PlannedTensor, master: PlannedTensor, launches: readonly Launch[]): void {
    if (!this.#offers.has(name)) this.#offers.set(name, { master, launches });
  }

  /** What a working copy is a copy of. */
  masterOf({ name }: PlannedTensor): PlannedTensor | undefined {
    return this.#offers.get(name)?.master;
  }

  get(name: string, make: () => { tensor: PlannedTensor; launch: Launch }): PlannedTensor {
    const known = this.#launches.get(name);
    if (known !== undefined) return known.tensor;
    const made = make();
    this.#launches.set(name, made);
    return made.tensor;
  }
}

/** Kernels by what tells them apart, so that nodes alike (the same layer, many times) share one object. */
export class SharedKernels {
  readonly #kernels = new Map<string, Kernel>();
  readonly #numbers = new WeakMap<object, number>();
  #objects = 0;

  /** The kernel with these distinguishing parts; objects count by identity. */
  get<K extends Kernel>(parts: readonly (string | number | object)[], make: () => K): K {
    const key = parts.map((part) => (typeof part === "object" ? `#${this.#numberOf(part)}` : part)).join(" ");
    const known = this.#kernels.get(key);
    if (known !== undefined) return known as K;
    const made = make();
    this.#kernels.set(key, made);
    return made;
  }

  #numberOf(object: object): number {
    const known = this.#numbers.get(object);
    if (known !== undefined) return known;
    this.#numbers.set(object, this.#objects);
    return this.#objects++;
  }
}

/** What the planning of all nodes shares. */
export interface PlannerShared {
  readonly target: Target;
  readonly tensors: Map<Value, PlannedTensor>;
  readonly derived: DerivedTensors;
  readonly kernels: SharedKernels;
  readonly tileOf: TileChooser;
}

/** The tile of a node's products, and the key that says so; undefined: the default. */
export type TileChooser = (node: Node) => { readonly tile: MatmulTile; readonly key: string | undefined };

/** The planning of one node. */
export class NodePlanner {
  readonly node: Node;
  readonly op: Op;
  readonly because: string;
  readonly derived: DerivedTensors;
  readonly kernels: SharedKernels;
  readonly launches: Launch[] = [];
  readonly notes: Note[] = [];
  readonly target: Target;
  readonly #tensors: Map<Value, PlannedTensor>;
  readonly #tileOf: TileChooser;
  readonly #noted = new Set<string>();
  #workspaces = 0;

  constructor(node: Node, op: Op, because: string, shared: PlannerShared) {
    this.node = node;
    this.op = op;
    this.because = because;
    this.target = shared.target;
    this.derived = shared.derived;
    this.kernels = shared.kernels;
    this.#tensors = shared.tensors;
    this.#tileOf = shared.tileOf;
    // An output in place is its input's storage: one tensor.
    for (const [output, input] of op.inPlace) shared.tensors.set(node.outputs[output], this.tensor(node.inputs[input]));
  }

  tensor(value: Value): PlannedTensor {
    let tensor = this.#tensors.get(value);
    if (tensor === undefined) {
      tensor = tensorOf(value, this.target);
      this.#tensors.set(value, tensor);
    }
    return tensor;
  }

  /** Says where a value lies, where that is not memory of the run. */
  place(value: Value, tensor: PlannedTensor): void {
    this.#tensors.set(value, tensor);
  }

  input(index: number): PlannedTensor {
    return this.tensor(this.node.inputs[index]);
  }

  output(index: number): PlannedTensor {
    return this.tensor(this.node.outputs[index]);
  }

  /** Memory that lives from the node's first launch to its last. */
  workspace(type: TensorType): PlannedTensor {
    const owner = this.node.outputs[0].name;
    const name = `${owner}.workspace${this.#workspaces++}`;
    return { name, type, storage: "workspace", layout: this.target.layoutOf(type), rule: undefined };
  }

  get label(): string {
    return labelOf(this.node, this.op.name);
  }

  /** The tile of the node's products, with a note where it comes from. */
  get matmulTile(): MatmulTile {
    const { tile, key } = this.#tileOf(this.node);
    const { rows, columns, depth } = tile;
    const from = key === undefined ? "the default" : `from ${key}`;
    this.note("tile", `${this.node.op} (${this.node.direction}): ${rows} x ${columns} x ${depth}, ${from}`);
    return tile;
  }

  launch(launch: Omit<Launch, "use">): void {
    this.launches.push({ ...launch, use: this.use });
  }

  get use(): Use {
    const { path, direction, key } = this.node;
    return { path, direction, key, because: this.because };
  }

  /** What is true of every launch of the node is said once. */
  note(topic: string, sentence: string): void {
    const key = `${topic} ${sentence}`;
    if (this.#noted.has(key)) return;
    this.#noted.add(key);
    this.notes.push({ path: this.node.path, direction: this.node.direction, topic, sentence });
  }

  /** Facts of a kernel that is the op itself. */
  facts(name: string, operands: readonly OperandFact[], tile: string, count?: string): KernelFacts {
    const { summary, source } = describeNode(this.node, this.op);
    return kernelFacts({ name, summary, formula: this.op.formula(this.node), source }, operands, tile, count);
  }
}

export type OperandFact = { readonly name: string } & (
  | { readonly tensor: PlannedTensor }
  | { readonly description: string }
);

/** The entry behind the operands of kernels that are told how much there is. */
export const counted = (what = "rows"): string => `i32, ${what} of this run`;

export const kernelFacts = (
  facts: Pick<KernelFacts, "name" | "summary" | "formula" | "source">,
  operands: readonly OperandFact[],
  tile: string,
  count?: string,
): KernelFacts => ({
  ...facts,
  operands: operands.map((operand) => ({
    name: operand.name,
    description: "tensor" in operand ? describe(operand.tensor) : operand.description,
  })),
  count,
  tile,
});

/** What of a tensor specialises a kernel: not its name, not its number of rows. */
function describe({ type, layout }: PlannedTensor): string {
  if (layout.kind === "panels") return `${type.dtype} in panels of ${layout.panel}, ${layout.depth} deep`;
  if (type.dims.length === 0) return `${type.dtype} scalar`;
  if (type.dims.length === 1) return `${type.dtype} vector`;
  return `${type.dtype} rows of ${widthOf(type)}, ${layout.pitch} values apart`;
}

export const read = (tensor: PlannedTensor, offset = 0): Operand => ({
  kind: "tensor",
  tensor,
  access: "read",
  offset,
});
export const write = (tensor: PlannedTensor, offset = 0): Operand => ({
  kind: "tensor",
  tensor,
  access: "write",
  offset,
});
/** Writes rows that no other launch of the node writes. */
export const part = (tensor: PlannedTensor, offset = 0): Operand => ({
  kind: "tensor",
  tensor,
  access: "part",
  offset,
});
/** Reads what it writes. */
export const update = (tensor: PlannedTensor, offset = 0): Operand => ({
  kind: "tensor",
  tensor,
  access: "update",
  offset,
});
export const none: Operand = { kind: "none" };
export const countOperand = (count: Count): Operand => ({ kind: "count", count });
export const fixed = (value: number): Count => ({ kind: "fixed", value });

/** How many rows of a tensor are in use: its leading dimension may be live, the others are fixed. */
export function rowCount(type: TensorType): Count {
  const leading = type.dims.length < 2 ? type.dims : type.dims.slice(0, -1);
  const live = leading.find((d) => d.live !== undefined);
  const rows = type.dims.length < 2 ? (type.dims[0]?.size ?? 1) : rowsOf(type);
  if (live === undefined) return fixed(rows);
  invariant(leading.length === 1, `a live dimension must be the only leading one in ${printType(type)}`);
  return { kind: "live", live: live.live ?? live.name, capacity: rows };
}

/** Whole rows that make about 16 thousand elements: enough work per tile, and few tiles per thread. */
export function rowsPerTile(width: number): number {
  return Math.max(1, Math.min(512, Math.floor(16384 / Math.max(1, width))));
}

/** Where a value lies on a target. */
export const tensorOf = ({ name, type, storage, rule }: Value, { layoutOf }: Target): PlannedTensor => ({
  name,
  type,
  storage,
  layout: layoutOf(type),
  rule,
});

/** Bytes from row to row, or in panels from k to k. */
export const pitchBytes = (tensor: PlannedTensor): number => pitchOf(tensor) * elementBytes(tensor);

export const elementBytes = ({ type }: PlannedTensor): number => bytesOf[type.dtype];

/** Elements from row to row, or in panels from k to k. */
export const pitchOf = ({ layout }: PlannedTensor): number => (layout.kind === "rows" ? layout.pitch : layout.panel);

export { capacityOf };
