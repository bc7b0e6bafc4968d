// What an operation must answer. Passes and kernels read these facts and never an op's name; a new fact is a required
// field here, so that the type checker lists every op that must answer.

import type { GraphBuilder, Node, NodePlace, Value } from "../graph/graph.ts";
import { instantiate, signature, unify } from "../graph/shapes.ts";
import { type Dim, elementCount, type TensorType } from "../graph/types.ts";
import type { FormulaBinding } from "./formula-binding.ts";
import type { SkeletonRequest } from "./skeletons.ts";

/** A tensor of the oracle: row-major, without padding. */
export interface Tensor {
  readonly type: TensorType;
  readonly data: Float64Array;
}

/** Appends nodes by op; the only way that gradients, the model and passes make nodes. */
export interface Emitter {
  readonly builder: GraphBuilder;
  emit<A>(op: Op<A>, inputs: readonly Value[], attributes: A, place: NodePlace): readonly Value[];
}

/** How a value may be computed a second time in the backward pass. */
export type RecomputeClass =
  /** One pass over its inputs. */
  | "cheap"
  /** A matmul or an attention: worth its memory only when memory is short. */
  | "costly"
  /** Writes state, or has no output that a backward pass reads. */
  | "never";

export interface KernelChoice {
  readonly because: string;
  /** Whether this choice can serve the node; the first that can is taken. */
  readonly fits: (node: Node) => boolean;
  readonly request: (node: Node) => SkeletonRequest;
}

export type TargetName = "wasm" | "wgsl";

export interface OutputPort {
  readonly port: string;
  readonly type: TensorType;
}

export interface Op<A = unknown> {
  /** snake_case, as in the papers. */
  readonly name: string;
  readonly summary: string;
  /** The mathematics in one line; the header of every kernel prints it. */
  readonly formula: (node: Node) => string;
  /** Paper and section, or the definition's common name. */
  readonly source: string;
  /** Named dimensions of inputs and outputs, as `x[..., in], weight[out, in] -> y[..., out]`. */
  readonly shapes: string;
  /** Output names and types; throws with both shapes where the inputs do not fit. */
  readonly infer: (inputs: readonly TensorType[], attributes: A, path: string) => readonly OutputPort[];
  /** Outputs that are the new contents of an input's storage, as [output, input]. */
  readonly inPlace: readonly (readonly [output: number, input: number])[];
  /** The meaning: outputs in f64 from inputs in f64. */
  readonly reference: (inputs: readonly Tensor[], node: Node) => Float64Array[];
  /** Absolute error bounds of a kernel in the outputs' dtypes, on exactly these inputs; 0 means bit-equal. */
  readonly bounds: (inputs: readonly Tensor[], node: Node) => Float64Array[];
  /** Gradients by input, in order; a value for each input in `wanted`, undefined elsewhere. */
  readonly gradient: Gradient | StopGradient | NoGradient;
  /** Multiplications and additions, counted separately. */
  readonly flops: (node: Node) => number;
  readonly recompute: RecomputeClass;
  /** The formula with its operands' views, where the op is one: fusion composes it. */
  readonly binding: (node: Node) => FormulaBinding | undefined;
  /** What a precision rule's formats are about. */
  readonly formats: (node: Node) => FormatPorts;
  /** How neighbours can be folded into this op's kernel. */
  readonly absorb: (node: Node) => Absorption;
  /** What this op is to a neighbour that may absorb it: input 0 + input 1, or state, value, first. */
  readonly absorbable: "add" | "accumulate" | undefined;
  readonly kernels: Readonly<Record<TargetName, readonly KernelChoice[]>>;
}

/** Which of a node's values the formats of `first * second -> accumulator -> result` are about. */
export interface FormatPorts {
  /** Inputs that are rounded to the first operand's format where they are stored in a wider one. */
  readonly first: readonly number[];
  readonly second: readonly number[];
  /** Outputs that are stored in the result's format; all others (statistics, losses, gradients of weights) are f32. */
  readonly results: readonly number[];
  /** An output that is stored as this input is: values are moved, not computed. */
  readonly moves?: { readonly output: number; readonly input: number };
}

/** An op that reads what there is and whose results are statistics or state. */
export const noFormats: FormatPorts = { first: [], second: [], results: [] };

/** An op that reads what there is and stores its first output in the result's format. */
export const storesResult: FormatPorts = { ...noFormats, results: [0] };

export interface GradientRequest {
  readonly node: Node;
  /** Adjoint of each output; undefined where nothing depends on it. */
  readonly dOutputs: readonly (Value | undefined)[];
  /** Which inputs need a gradient. */
  readonly wanted: readonly boolean[];
  readonly emitter: Emitter;
}

export type Gradient =
  | { readonly kind: "separate"; readonly build: (request: GradientRequest) => readonly (Value | undefined)[] }
  /** Forward and gradient in one node: given the seeds, yields the forward outputs as well. */
  | {
      readonly kind: "joint";
      readonly build: (request: GradientRequest) => {
        readonly outputs: readonly Value[];
        readonly dInputs: readonly (Value | undefined)[];
      };
    };

export interface NoGradient {
  readonly kind: "none";
  readonly reason: string;
}

/** An op whose outputs count as constants: what its inputs would get is 0. */
export interface StopGradient {
  readonly kind: "stop";
  readonly reason: string;
}

export const stopGradient = (reason: string): StopGradient => ({ kind: "stop", reason });

export const noGradient = (reason: string): NoGradient => ({ kind: "none", reason });

/** How a neighbour is folded into an op: the new node does what both did, and its outputs replace theirs. */
export interface Absorption {
  /** Any one of `outputs` is added to `other`, of the same type; `inputs` replace the node's. */
  readonly add?: {
    readonly outputs: readonly number[];
    readonly build: (inputs: readonly Value[], output: number, other: Value, emitter: Emitter) => readonly Value[];
  };
  /** `output` is accumulated into `state`, or overwrites it where `first` is not 0; `inputs` replace the node's. */
  readonly accumulate?: {
    readonly output: number;
    readonly build: (inputs: readonly Value[], state: Value, first: Value, emitter: Emitter) => readonly Value[];
  };
}

/** The answers of an op that is no formula, owns no state and folds nothing in. */
export const standsAlone = {
  inPlace: [],
  binding: () => undefined,
  formats: () => noFormats,
  absorb: () => ({}),
  absorbable: undefined,
} as const satisfies Partial<Op>;

/** One kernel for every node of the op, on all targets. */
export const always = (because: string, request: KernelChoice["request"]): Op["kernels"] => ({
  wasm: [{ because, fits: () => true, request }],
  wgsl: [{ because, fits: () => true, request }],
});

/** Where a node stands, for nodes derived from it. */
export const placeOf = (node: Node, direction: Node["direction"] = node.direction): NodePlace => ({
  path: node.path,
  direction,
  classes: node.classes,
  key: node.key,
});

/** An `infer` that follows the signature; `ownDims` gives the dimensions of outputs that no input binds. */
export function inferBy<A>(
  shapes: string,
  ownDims: (attributes: A, inputs: readonly TensorType[]) => Readonly<Record<string, Dim>> = () => ({}),
): Op<A>["infer"] {
  const parsed = signature(shapes);
  return (inputs, attributes, path) => {
    const binding = unify(parsed, inputs, path);
    const own = new Map(Object.entries(ownDims(attributes, inputs)));
    return parsed.outputs.map((port) => ({ port: port.name, type: instantiate(port, binding, own, path) }));
  };
}

/** Bounds of ops that move or select values: every output is bit-equal. */
export const exactBounds = (_inputs: readonly Tensor[], node: Node): Float64Array[] =>
  node.outputs.map(({ type }) => new Float64Array(elementCount(type)));

/** An op's attributes as its own type: the one place where a node's `unknown` becomes typed. */
export const attributesOf = <A>(_op: Op<A>, node: Node): A => node.attributes as A;
