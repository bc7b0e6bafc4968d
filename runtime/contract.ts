// The manifest: what the compiler writes and the runtime reads. The one file that compiler/emit may import from here.

/** A runtime runs exactly the manifests of its own version. */
export const manifestVersion = 1;

/** JSON expression over live counts: a number, a name, or an operation on two expressions. */
export type Expression = number | string | readonly [ExpressionOperator, Expression, Expression];
export type ExpressionOperator = "+" | "-" | "*" | "ceil_div" | "min" | "max";

export interface ManifestDim {
  readonly name: string;
  readonly size: number;
}

export type ManifestLayout =
  | { readonly kind: "rows"; readonly rows: number; readonly pitch: number }
  | { readonly kind: "panels"; readonly panels: number; readonly depth: number; readonly panel: number };

/** A tensor's place: bytes from the start of its arena. Pitches are in elements. */
export interface ManifestTensor {
  readonly name: string;
  readonly dtype: "f32" | "bf16" | "i32";
  readonly dims: readonly ManifestDim[];
  readonly layout: ManifestLayout;
  readonly arena: string;
  readonly offset: number;
}

/** How a constant is computed at load. */
export interface RopeRule {
  readonly kind: "rope_cos" | "rope_sin";
  readonly theta: number;
  readonly rotaryDim: number;
  readonly llama3?: {
    readonly factor: number;
    readonly lowFreqFactor: number;
    readonly highFreqFactor: number;
    readonly original: number;
  };
  /** `tableScale` multiplies cosines and sines. */
  readonly yarn?: {
    readonly factor: number;
    readonly original: number;
    readonly betaFast: number;
    readonly betaSlow: number;
    readonly truncate: boolean;
    readonly tableScale: number;
  };
}

export type InitRule =
  | { readonly kind: "normal"; readonly standardDeviation: number }
  | { readonly kind: "uniform"; readonly low: number; readonly high: number }
  | { readonly kind: "zeros" }
  | { readonly kind: "ones" };

/** A parameter by its checkpoint name; gradient and moments are tensors of the same shape. */
export interface ManifestParameter {
  readonly name: string;
  readonly dims: readonly number[];
  /** Path of the operation that it belongs to. */
  readonly path: string;
  readonly init: InitRule;
  readonly decay: number;
  /** Absent where the model does not train. */
  readonly gradient?: string;
  readonly moments?: readonly [string, string];
}

/**
 * What a kernel is given, in the order of its operands.
 *
 * wasm: a table of addresses. wgsl: tensors are the storage bindings 0, 1, … of group 0; counts and scalars are the words, in
 * their order, of the uniform block behind them.
 */
export type ManifestOperand =
  | {
      readonly tensor: string;
      readonly offset?: number;
      /** wgsl: how many bytes are bound; without it all from the offset on. */
      readonly bytes?: number;
    }
  /** wasm: the address of a count, a number or what follows from the live counts; wgsl: the count. */
  | { readonly count: Expression }
  /** wgsl: where a scalar stands in the arena of scalars, which is bound as any tensor is; in elements. */
  | { readonly scalar: string }
  /** wasm: address 0; wgsl: nothing is bound. */
  | null;

export interface ManifestLaunch {
  /** Index into `kernels`. */
  readonly kernel: number;
  readonly operands: readonly ManifestOperand[];
  /** How many tiles there are: on wgsl, workgroups. */
  readonly tiles: Expression;
  readonly path: string;
  readonly flops: number;
}

/** Launches of one wave do not depend on each other. */
export interface ManifestProgram {
  readonly name: string;
  readonly waves: readonly (readonly ManifestLaunch[])[];
  /** Tensors that live for one run. */
  readonly tensors: readonly ManifestTensor[];
  readonly inputs: readonly string[];
  /** Tensors that hold what the program is run for, by name. */
  readonly results: Readonly<Record<string, string>>;
}

export interface ManifestKernel {
  /** The export's name, or the entry point's. */
  readonly name: string;
  readonly file: string;
  /** Of the text. */
  readonly sha256: string;
  /** wasm: bytes of scratch per thread. */
  readonly scratch: number;
  readonly template: string;
  /** wgsl: texts that do the same with more of what an adapter may have; the first that fits is taken. */
  readonly variants?: readonly ManifestVariant[];
}

export interface ManifestVariant {
  /** Features of the adapter, such as `subgroups`, and of its language, such as `subgroup_id`. */
  readonly features: readonly string[];
  readonly file: string;
  readonly sha256: string;
}

export interface ManifestSchedulePiece {
  readonly unit: "steps" | "tokens";
  readonly start: number;
  readonly end: number;
  readonly shape: "constant" | "warmup" | "linear" | "cosine";
  readonly from: number;
  readonly to: number;
}

export interface ManifestSchedule {
  readonly pieces: readonly ManifestSchedulePiece[];
}

/** A scalar of a step: a schedule's value, divided by what the step holds of something and by a number. */
export interface ManifestStepValue {
  readonly tensor: string;
  readonly schedule: ManifestSchedule;
  /** Tokens of the step, or targets of the module that predicts further ahead. */
  readonly per: "step" | "token" | "mtp_target";
  readonly terms: number;
}

/** A sum over the step that the host reports: its mean is over tokens, or targets, and over so many terms. */
export interface ManifestLossMetric {
  readonly name: string;
  readonly tensor: string;
  readonly per: "token" | "mtp_target";
  readonly terms: number;
}

/** How many choices each of a router's experts got in the step. */
export interface ManifestLoads {
  /** Path of the router. */
  readonly path: string;
  readonly tensor: string;
  readonly experts: number;
}

export interface ManifestTraining {
  /** Tokens per sequence, and sequences per micro-batch. */
  readonly sequence: number;
  readonly micro: number;
  readonly sequences: ManifestSchedule;
  readonly steps: number;
  readonly learningRate: ManifestSchedule;
  /** Absent: no clipping. */
  readonly clip?: ManifestSchedule;
  readonly stepValues: readonly ManifestStepValue[];
  readonly losses: readonly ManifestLossMetric[];
  readonly loads: readonly ManifestLoads[];
  /** How many tokens beyond the next one are predicted. */
  readonly mtpDepth: number;
  readonly seed: number;
  readonly evaluateEvery: number;
  readonly saveEvery: number;
  readonly sampleEvery: number;
}

export interface ManifestServing {
  readonly sequences: number;
  /** The most new tokens of one call. */
  readonly tokens: number;
  readonly pages: number;
  readonly page: number;
  /** The most rows of one row tile. */
  readonly rowTile: number;
}

export interface ManifestData {
  readonly tokenizer: string;
  readonly train: readonly string[];
  readonly validation: number | readonly string[];
  readonly skipBadLines: boolean;
}

export interface Manifest {
  readonly version: number;
  readonly name: string;
  readonly target: "wasm" | "wgsl";
  readonly model: {
    readonly vocab: number;
    readonly context: number;
    readonly width: number;
    readonly layers: number;
    readonly tieEmbeddings: boolean;
  };
  readonly training?: ManifestTraining;
  readonly serving: ManifestServing;
  readonly data?: ManifestData;
  readonly parameters: readonly ManifestParameter[];
  /** Persistent tensors; those of one run are with their program. */
  readonly tensors: readonly ManifestTensor[];
  readonly constants: readonly { readonly tensor: string; readonly rule: RopeRule }[];
  /** Bytes by name, in the order in which they lie in memory; on wgsl each is a buffer. */
  readonly arenas: Readonly<Record<string, number>>;
  readonly kernels: readonly ManifestKernel[];
  /** wasm: the assembled kernels. */
  readonly module?: string;
  readonly programs: readonly ManifestProgram[];
}
