// Products of sizes that would not be exact any more: refused with the product, at the factor that caused it.

import type { Diagnostics } from "../source/diagnostic.ts";
import * as say from "../source/messages/model.ts";
import type { Place } from "../source/text.ts";
import type { Section } from "./section.ts";
import { asGqa, type ModelSpec, type ServeSpec, type TrainSpec } from "./spec.ts";

interface Factor {
  readonly name: string;
  readonly value: number;
  readonly place: Place;
}

const mostElements = 2n ** 53n;
/** Tokens that are computed at once; kernels of more than 2^20 rows are planned for minutes and need terabytes. */
const mostTokens = 2n ** 20n;

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

  parameters({ vocab, width, layers, tieEmbeddings }: ModelSpec): boolean {
    const embedding = [this.#factor("vocab", vocab), this.#factor("width", width)];
    if (!this.#product("the embedding", embedding)) return false;
    let total = BigInt(vocab) * BigInt(width) * (tieEmbeddings ? 1n : 2n);
    for (const { attention, ffn } of new Set(layers)) {
      const channels = this.#block("attention", "heads * head_dim", attention.heads * asGqa(attention).headDim);
      const intermediate = this.#block("ffn", "intermediate", ffn.intermediate);
      if (!this.#product("a weight of attention", [channels, this.#factor("width", width)])) return false;
      if (!this.#product("a weight of ffn", [intermediate, this.#factor("width", width)])) return false;
    }
    for (const { attention, ffn } of layers) {
      const { heads, kvHeads, headDim } = asGqa(attention);
      const channels = BigInt(headDim) * BigInt(2 * heads + 2 * kvHeads);
      total += BigInt(width) * (channels + BigInt(ffn.intermediate) * BigInt(ffn.inputs.length + 1) + 2n);
    }
    if (total <= mostElements) return true;
    const place = this.#model.placeOf("layers");
    this.#diagnostics.add(say.tooManyElements("the model", `parameters = ${total}`, place));
    return false;
  }

  training({ vocab, width, layers }: ModelSpec, { sequence, batch, steps }: TrainSpec): void {
    const train = this.#root.section("train");
    const batchSection = train.section("batch");
    const microPlace = batchSection.placeOf(batchSection.isGiven("micro") ? "micro" : "sequences");
    const micro = { name: "micro", value: batch.micro, place: microPlace };
    const length = { name: "sequence", value: sequence, place: train.placeOf("sequence") };
    const widest = Math.max(vocab, width, ...layers.map(({ ffn }) => ffn.intermediate));
    const channels = {
      name: "the widest of vocab, width and intermediate",
      value: widest,
      place: this.#model.placeOf("width"),
    };
    if (!this.#tokens("a micro-batch", [micro, length])) return;
    if (!this.#product("an activation", [micro, length, channels])) return;
    const most = Math.max(...batch.sequences.pieces.flatMap(({ from, to }) => [from, to]));
    const sequences = { name: "sequences", value: most, place: batchSection.placeOf("sequences") };
    const count = { name: "steps", value: steps, place: train.placeOf(train.isGiven("steps") ? "steps" : "tokens") };
    this.#product("the count of tokens", [count, sequences, length]);
  }

  serving({ layers }: ModelSpec, { pages, page, tokens }: ServeSpec): void {
    const serve = this.#root.section("serve");
    if (!this.#tokens("a call", [{ name: "tokens", value: tokens, place: serve.placeOf("tokens") }])) return;
    const channels = layers.reduce(
      (sum, { attention }) => sum + 2 * asGqa(attention).kvHeads * asGqa(attention).headDim,
      0,
    );
    this.#product("the cache", [
      { name: "pages", value: pages, place: serve.placeOf("pages") },
      { name: "page", value: page, place: serve.placeOf("page") },
      { name: "layers * 2 * kv_heads * head_dim", value: channels, place: this.#model.placeOf("layers") },
    ]);
  }

  #factor(name: string, value: number): Factor {
    return { name, value, place: this.#model.placeOf(name) };
  }

  #block(block: string, name: string, value: number): Factor {
    return { name, value, place: this.#model.placeOf(block) };
  }

  #product(what: string, factors: readonly Factor[]): boolean {
    const product = productOf(factors);
    if (product <= mostElements) return true;
    this.#diagnostics.add(say.tooManyElements(what, wordsOf(factors, product), largestOf(factors).place));
    return false;
  }

  #tokens(what: string, factors: readonly Factor[]): boolean {
    const product = productOf(factors);
    if (product <= mostTokens) return true;
    this.#diagnostics.add(say.tooManyTokens(what, wordsOf(factors, product), largestOf(factors).place));
    return false;
  }
}

const productOf = (factors: readonly Factor[]): bigint =>
  factors.reduce((value, factor) => value * BigInt(factor.value), 1n);

const largestOf = (factors: readonly Factor[]): Factor => factors.reduce((a, b) => (b.value > a.value ? b : a));

function wordsOf(factors: readonly Factor[], product: bigint): string {
  const names = factors.map(({ name }) => name).join(" * ");
  const values = factors.map(({ value }) => value).join(" * ");
  return factors.length === 1 ? `${names} = ${product}` : `${names} = ${values} = ${product}`;
}
