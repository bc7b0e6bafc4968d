// A Spec back to YAML: defaults filled in, sizes evaluated, keys in the order of the schema. Reading the text again
// gives the same Spec, and printing that the same text.

import { Scalar, stringify } from "yaml";
import { printFormulaSyntax, printNumber, printSelector } from "../formula/print-syntax.ts";
import { rangeOf } from "./ranges.ts";
import { languageVersion } from "./schema.ts";
import type { Selector } from "./selector.ts";
import {
  type AttentionSpec,
  asGqa,
  type DataSpec,
  type Distribution,
  type FfnSpec,
  type LayerSpec,
  type ModelSpec,
  type RopeSpec,
  type Schedule,
  type SchedulePiece,
  type Signature,
  type Spec,
  type TrainSpec,
} from "./spec.ts";

/** A map in the order of its keys; pairs without a value are left out. */
type Ordered = Map<string, unknown>;

function ordered(...pairs: readonly (readonly [string, unknown])[]): Ordered {
  return new Map(pairs.filter(([, value]) => value !== undefined).map(([name, value]) => [name, exact(value)]));
}

/** A float beyond 2^53 gets an exponent, as in `printNumber`. */
function exact(value: unknown): unknown {
  if (typeof value !== "number" || Math.abs(value) <= 2 ** 53) return value;
  const scalar = new Scalar(value);
  scalar.format = "EXP";
  return scalar;
}

export function normalizeSpec(spec: Spec): string {
  const { name, model, precision, tiles, recompute, data, train, serve } = spec;
  const definitions = [...model.layers[0].attention.score.definitions.values()];
  const formulas = definitions.map((definition) => [definition.name, printFormulaSyntax(definition.syntax)] as const);
  const wasm = tiles.map(({ selector, tile }) => {
    return [selectorText(selector), `${tile.rows}x${tile.columns}x${tile.depth}`] as const;
  });
  const document = ordered(
    ["mspec", languageVersion],
    ["name", name],
    ["formulas", formulas.length > 0 ? ordered(...formulas) : undefined],
    ["model", modelMap(model)],
    ["precision", precision.map(({ selector, signature }) => precisionEntry(selectorText(selector), signature))],
    ["tiles", tiles.length > 0 ? ordered(["wasm", ordered(...wasm)]) : undefined],
    ["recompute", recompute.map(({ selector }) => selectorText(selector))],
    ["data", data && dataMap(data)],
    ["train", train && trainMap(train)],
    ["serve", ordered(...(["sequences", "tokens", "page", "pages"] as const).map((key) => [key, serve[key]] as const))],
  );
  return stringify(document, { lineWidth: 0 });
}

function modelMap(model: ModelSpec): Ordered {
  return ordered(
    ["vocab", model.vocab],
    ["context", model.context],
    ["width", model.width],
    ["layers", model.layers.length],
    ["tie_embeddings", model.tieEmbeddings],
    ["norm", ordered(["kind", model.norm.kind], ["eps", model.norm.eps])],
    ["attention", blocks(model.layers, ({ attention }) => attentionMap(attention))],
    ["ffn", blocks(model.layers, ({ ffn }) => ffnMap(ffn))],
  );
}

/** One block if all layers have the same, otherwise an entry for each that is different. */
function blocks(layers: readonly LayerSpec[], blockOf: (layer: LayerSpec) => Ordered): Ordered | Ordered[] {
  const groups = new Map<string, { readonly block: Ordered; readonly indices: number[] }>();
  for (const [i, layer] of layers.entries()) {
    const block = blockOf(layer);
    const text = stringify(block);
    const group = groups.get(text) ?? { block, indices: [] };
    group.indices.push(i);
    groups.set(text, group);
  }
  const [first, ...others] = groups.values();
  if (others.length === 0) return first.block;
  return [first, ...others].map(({ block, indices }) => ordered(["layers", rangeOf(indices)], ...block));
}

function attentionMap(attention: AttentionSpec): Ordered {
  const { kind, heads, kvHeads, headDim, rope, score, mask } = asGqa(attention);
  return ordered(
    ["kind", kind],
    ["heads", heads],
    ["kv_heads", kvHeads],
    ["head_dim", headDim],
    ["rope", ropeMap(rope)],
    ["score", printFormulaSyntax(score.syntax)],
    ["mask", printFormulaSyntax(mask.syntax)],
  );
}

function ropeMap({ theta, layout, llama3 }: RopeSpec): Ordered {
  const scaling =
    llama3 &&
    ordered(
      ["factor", llama3.factor],
      ["low_freq_factor", llama3.lowFreqFactor],
      ["high_freq_factor", llama3.highFreqFactor],
      ["original", llama3.original],
    );
  return ordered(["theta", theta], ["layout", layout], ["llama3", scaling]);
}

function ffnMap({ kind, intermediate, activation }: FfnSpec): Ordered {
  return ordered(["kind", kind], ["intermediate", intermediate], ["activation", printFormulaSyntax(activation.syntax)]);
}

function dataMap({ tokenizer, train, validation, skipBadLines }: DataSpec): Ordered {
  return ordered(
    ["tokenizer", tokenizer],
    ["train", train],
    ["validation", validation],
    ["skip_bad_lines", skipBadLines],
  );
}

function trainMap(train: TrainSpec): Ordered {
  const { batch, steps, optimizer, clip } = train;
  const decay = optimizer.weightDecay.map(({ selector, value }) => [selectorText(selector), value] as const);
  const init = train.init.map(({ selector, distribution }) => {
    return [selectorText(selector), distributionText(distribution)] as const;
  });
  return ordered(
    ["sequence", train.sequence],
    ["batch", ordered(["sequences", scheduleValue(batch.sequences, steps)], ["micro", batch.micro])],
    ["steps", steps],
    [
      "optimizer",
      ordered(
        ["kind", optimizer.kind],
        ["betas", optimizer.betas],
        ["eps", optimizer.eps],
        ["weight_decay", ordered(...decay)],
      ),
    ],
    ["lr", scheduleValue(train.learningRate, steps)],
    ["clip", clip && scheduleValue(clip, steps)],
    ["init", ordered(...init)],
    ["seed", train.seed],
    ["evaluate_every", train.evaluateEvery],
    ["save_every", train.saveEvery],
    ["sample_every", train.sampleEvery],
  );
}

/** The text of a selector with its directions. */
export function selectorText({ syntax, directions }: Selector): string {
  if (directions === undefined) return printSelector(syntax);
  const last = directions.length === 1 ? directions[0] : `{${directions.join(",")}}`;
  return syntax.alternatives
    .map((path) => [...(path.steps.length === 0 ? [] : [printSelector({ ...syntax, alternatives: [path] })]), last])
    .map((parts) => parts.join("."))
    .join(", ");
}

function precisionEntry(selector: string, { operands, accumulator, result }: Signature): string | Ordered {
  const formats = [...operands, accumulator, result];
  const isOneFormat = operands.length === 1 && formats.every((format) => format === formats[0]);
  if (isOneFormat && selector === "all" && formats[0] !== undefined) return formats[0];
  const words = (format: string | undefined) => format ?? "_";
  if (isOneFormat) return ordered([selector, words(formats[0])]);
  return ordered([selector, [operands.map(words).join(" * "), words(accumulator), words(result)].join(" -> ")]);
}

function distributionText(distribution: Distribution): string {
  switch (distribution.kind) {
    case "normal":
      return `normal(${printNumber(distribution.standardDeviation)})`;
    case "uniform":
      return `uniform(${printNumber(distribution.low)}, ${printNumber(distribution.high)})`;
    default:
      return distribution.kind;
  }
}

/** A schedule of one constant is a number, any other is text. */
function scheduleValue({ pieces }: Schedule, steps: number): number | string {
  const isOpen = (piece: SchedulePiece) => piece === pieces.at(-1) && piece.unit === "steps" && piece.end === steps;
  const [first] = pieces;
  if (pieces.length === 1 && first.shape === "constant" && isOpen(first)) return first.to;
  return pieces.map((piece) => pieceText(piece, isOpen(piece))).join(" then ");
}

function pieceText({ shape, unit, end, from, to }: SchedulePiece, isOpen: boolean): string {
  const until = `until ${end}${unit === "tokens" ? " tokens" : ""}`;
  if (shape === "constant") return isOpen ? printNumber(to) : `${printNumber(to)} ${until}`;
  const span = isOpen && shape !== "warmup" ? "" : `(${until})`;
  const start = shape === "warmup" ? "" : ` from ${printNumber(from)}`;
  return `${shape}${span}${start} to ${printNumber(to)}`;
}
