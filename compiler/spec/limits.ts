// Products of sizes that would not be exact any more: refused with the product, at the factor that caused it.

import type { Diagnostics } from "../source/diagnostic.ts";
import * as say from "../source/messages/model.ts";
import { tooManyChoices } from "../source/messages/model-blocks.ts";
import type { Place } from "../source/text.ts";
import type { Section } from "./section.ts";
import type { LayerSpec, ModelSpec, ServeSpec, TrainSpec } from "./spec.ts";
import { cachedChannels, layerChannels, layerWeights, type NamedSize } from "./weights.ts";

interface Factor extends NamedSize {
  readonly place: Place;
}

const mostElements = 2n ** 53n;
/** Tokens that are computed at once; kernels of more than 2^20 rows are planned for minutes and need terabytes. */
const mostTokens = 2n ** 20n;
/** Tokens of an expert are counted in floats. */
const mostChoices = 2n ** 24n;

/** The blocks that predict further tokens are the last layer's once more. */
const builtLayers = ({ layers, mtp }: ModelSpec): LayerSpec[] => [
  ...layers,
  ...Array<LayerSpec>(mtp?.depth ?? 0).fill(layers[layers.length - 1]),
];

/** Refuses a spec whose tensors, counts or clocks go beyond 2^53. */
export function checkLimits(
  root: Section,
  spec: { model: ModelSpec; train: TrainSpec | undefined; serve: ServeSpec },
): void {
  const check = new LimitCheck(root);
  if (!check.parameters(spec.model)) return;
  if (spec.train !== undefined) check.training(spec.model, spec.train);
  check.serving(spec.model, spec.serve);
}

class LimitCheck {
  readonly #root: Section;
  readonly #model: Section;
  readonly #diagnostics: Diagnostics;

  constructor(root: Section) {
    this.#root = root;
    this.#model = root.section("model");
    this.#diagnostics = root.reading.diagnostics;
  }

  parameters(model: ModelSpec): boolean {
    const { vocab, width, tieEmbeddings, mtp } = model;
    const embedding = [this.#factor("vocab", vocab), this.#factor("width", width)];
    if (!this.#product("the embedding", embedding)) return false;
    let total = BigInt(vocab) * BigInt(width) * (tieEmbeddings ? 1n : 2n);
    if (mtp !== undefined) total += 2n * BigInt(width) ** 2n * BigInt(mtp.depth);
    const weights = new Map(model.layers.map((layer) => [layer, layerWeights(layer, width)]));
    for (const { block, factors } of [...weights.values()].flat()) {
      const placed = factors.map(({ name, value }) => ({ name, value, place: this.#placeOf(block, name) }));
      if (!this.#product(`a weight of ${block}`, placed)) return false;
    }
    for (const layer of builtLayers(model)) {
      for (const { factors } of weights.get(layer) ?? []) total += productOf(factors);
      total += 2n * BigInt(width);
    }
    if (total <= mostElements) return true;
    const place = this.#model.placeOf("layers");
    this.#diagnostics.add(say.tooManyElements("the model", `parameters = ${total}`, place));
    return false;
  }

  training(model: ModelSpec, { sequence, batch, steps }: TrainSpec): void {
    const train = this.#root.section("train");
    const batchSection = train.section("batch");
    const microPlace = batchSection.placeOf(batchSection.isGiven("micro") ? "micro" : "sequences");
    const micro = { name: "micro", value: batch.micro, place: microPlace };
    const length = { name: "sequence", value: sequence, place: train.placeOf("sequence") };
    if (!this.#tokens("a micro-batch", [micro, length])) return;
    if (!this.#choices(model, [micro, length])) return;
    const own = [...new Set(model.layers)].flatMap(layerChannels);
    const channels = [this.#factor("vocab", model.vocab), this.#factor("width", model.width)];
    for (const { name, value } of own) channels.push({ name, value, place: this.#model.placeOf("layers") });
    if (!this.#product("an activation", [micro, length, largestOf(channels)])) return;
    const most = Math.max(...batch.sequences.pieces.flatMap(({ from, to }) => [from, to]));
    const sequences = { name: "sequences", value: most, place: batchSection.placeOf("sequences") };
    const count = { name: "steps", value: steps, place: train.placeOf(train.isGiven("steps") ? "steps" : "tokens") };
    this.#product("the count of tokens", [count, sequences, length]);
  }

  serving(model: ModelSpec, { pages, page, tokens }: ServeSpec): void {
    const serve = this.#root.section("serve");
    if (!this.#tokens("a call", [{ name: "tokens", value: tokens, place: serve.placeOf("tokens") }])) return;
    const channels = builtLayers(model).reduce((sum, { attention }) => sum + cachedChannels(attention), 0);
    this.#product("the cache", [
      { name: "pages", value: pages, place: serve.placeOf("pages") },
      { name: "page", value: page, place: serve.placeOf("page") },
      { name: "cached channels of all layers", value: channels, place: this.#model.placeOf("layers") },
    ]);
  }

  #factor(name: string, value: number): Factor {
    return { name, value, place: this.#model.placeOf(name) };
  }

  #placeOf(block: "attention" | "ffn", name: string): Place {
    return this.#model.placeOf(name === "width" ? name : block);
  }

  #product(what: string, factors: readonly Factor[]): boolean {
    const product = productOf(factors);
    if (product <= mostElements) return true;
    this.#diagnostics.add(say.tooManyElements(what, wordsOf(factors, product), largestOf(factors).place));
    return false;
  }

  #choices({ layers }: ModelSpec, tokens: readonly Factor[]): boolean {
    const mostOfToken = Math.max(0, ...layers.map(({ ffn }) => (ffn.kind === "moe" ? ffn.topK : 0)));
    const factors = [...tokens, { name: "top_k", value: mostOfToken, place: this.#model.placeOf("ffn") }];
    const product = productOf(factors);
    if (product <= mostChoices) return true;
    this.#diagnostics.add(tooManyChoices(wordsOf(factors, product), largestOf(factors).place));
    return false;
  }

  #tokens(what: string, factors: readonly Factor[]): boolean {
    const product = productOf(factors);
    if (product <= mostTokens) return true;
    this.#diagnostics.add(say.tooManyTokens(what, wordsOf(factors, product), largestOf(factors).place));
    return false;
  }
}

const productOf = (factors: readonly NamedSize[]): bigint =>
  factors.reduce((value, factor) => value * BigInt(factor.value), 1n);

const largestOf = (factors: readonly Factor[]): Factor => factors.reduce((a, b) => (b.value > a.value ? b : a));

function wordsOf(factors: readonly Factor[], product: bigint): string {
  const names = factors.map(({ name }) => name).join(" * ");
  const values = factors.map(({ value }) => value).join(" * ");
  return factors.length === 1 ? `${names} = ${product}` : `${names} = ${values} = ${product}`;
}
