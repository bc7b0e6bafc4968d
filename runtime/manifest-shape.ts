// Whether a JSON value has the parts that a manifest has. Checks kinds, not sizes: what the compiler wrote is right, what a
// disk or a person made of it may not be.

type Check = (value: unknown) => boolean;

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isRecordOf =
  (check: Check): Check =>
  (value) =>
    isRecord(value) && Object.values(value).every(check);
const isListOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const isOptional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const isText: Check = (value) => typeof value === "string";
const isCount: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;

/** A record in which each of these has its kind. */
const has = (parts: Readonly<Record<string, Check>>): Check => {
  return (value) => isRecord(value) && Object.entries(parts).every(([name, check]) => check(value[name]));
};

const tensor = has({
  name: isText,
  dtype: isText,
  dims: isListOf(has({ size: isCount })),
  layout: isRecord,
  arena: isText,
  offset: isCount,
});
const launch = has({ kernel: isCount, operands: Array.isArray, path: isText });
const schedule = has({ pieces: isListOf(isRecord) });

const parts: Readonly<Record<string, Check>> = {
  name: isText,
  model: has({ vocab: isCount, context: isCount, width: isCount, layers: isCount }),
  training: isOptional(
    has({
      sequence: isCount,
      micro: isCount,
      steps: isCount,
      seed: isCount,
      sequences: schedule,
      learningRate: schedule,
      stepValues: isListOf(has({ tensor: isText, schedule })),
      losses: isListOf(has({ name: isText, tensor: isText })),
      loads: isListOf(has({ path: isText, tensor: isText, experts: isCount })),
    }),
  ),
  serving: has({ sequences: isCount, tokens: isCount, pages: isCount, page: isCount, rowTile: isCount }),
  data: isOptional(has({ tokenizer: isText, train: isListOf(isText) })),
  parameters: isListOf(has({ name: isText, dims: isListOf(isCount), path: isText, init: isRecord })),
  tensors: isListOf(tensor),
  constants: isListOf(has({ tensor: isText, rule: isRecord })),
  arenas: isRecordOf(isCount),
  kernels: isListOf(has({ name: isText, file: isText, sha256: isText, scratch: isCount })),
  target: (value) => value === "wasm" || value === "wgsl",
  module: isOptional(isText),
  programs: isListOf(
    has({ name: isText, waves: isListOf(isListOf(launch)), tensors: isListOf(tensor), results: isRecordOf(isText) }),
  ),
};

/** The first part of a manifest that is missing or of another kind; undefined when there is none. */
export function brokenPart(value: unknown): string | undefined {
  if (!isRecord(value)) return "all of it";
  const broken = Object.entries(parts).find(([name, check]) => !check(value[name]))?.[0];
  // What runs on the CPU lies in one module; a GPU is given every kernel's text.
  return broken ?? (value.target === "wasm" && value.module === undefined ? "module" : undefined);
}
