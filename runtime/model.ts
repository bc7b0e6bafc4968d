// A compiled model on a device: its parameters by name, and what can be done with it: train, evaluate, logits, generate.

import type { BuildSource } from "./build-source.ts";
import type { Manifest, ManifestParameter } from "./contract.ts";
import { encodeDocuments, type TokenStream } from "./data/token-stream.ts";
import type { StreamingDecoder, Tokenizer } from "./data/tokenizer.ts";
import type { Device } from "./device.ts";
import { blobReader } from "./files/blob-reader.ts";
import type { FileReader } from "./files/disk.ts";
import { openSafetensors } from "./files/safetensors.ts";
import type { Host } from "./host.ts";
import { initialValues } from "./initial-weights.ts";
import * as messages from "./messages/model.ts";
import { emptyPrompt, tooManyTokens } from "./messages/serve.ts";
import { completeAll, type DraftCount, type Request, type StopReason } from "./serve/engine.ts";
import { type CachedSequence, PagedCache } from "./serve/paged-cache.ts";
import { defaultSampling, type Sampling } from "./serve/sampler.ts";
import { checkTokens } from "./serve/tokens.ts";
import { type Evaluation, evaluateStream } from "./train/evaluate.ts";
import type { TrainOptions, TrainResult } from "./train/options.ts";
import { type Trainee, trainModel } from "./train/train.ts";
import { parameterLength, readWeights } from "./weights.ts";

export interface GenerateOptions extends Partial<Sampling> {
  /** Text, or token ids. An empty text begins a new document. */
  readonly prompt: string | ArrayLike<number>;
  /** The most new tokens; 256 unless given. The model's context is a limit besides. */
  readonly maxTokens?: number;
  /** The same seed gives the same tokens; 0 unless given. */
  readonly seed?: number;
  /** Tells apart several sequences of one seed; its place in the list unless given. */
  readonly sequence?: number;
  /** Whether a model that predicts further ahead guesses tokens; greedy text is the same without. True unless given. */
  readonly drafts?: boolean;
  /** Tokens that end the text, besides the tokenizer's own. */
  readonly endTokens?: readonly number[];
  /** Called with text as soon as its characters are whole. */
  readonly onText?: (text: string) => void;
  readonly onToken?: (token: number) => void;
}

export interface Generated {
  /** Empty for a model that was opened without a tokenizer. */
  readonly text: string;
  readonly tokens: Int32Array;
  readonly reason: StopReason;
  /** Tokens that were guessed one step ahead, and how many of them were right. */
  readonly drafts: DraftCount;
}

/** What a model is made of; `openModel` puts it together. */
export interface ModelParts {
  readonly manifest: Manifest;
  readonly device: Device;
  readonly source: BuildSource;
  readonly host: Host;
  readonly tokenizer: Tokenizer | undefined;
  /** The text of its tokenizer.json. */
  readonly tokenizerJson: string | undefined;
}

/** Tokens of a sequence that went through the model together. */
interface SequencePiece {
  readonly sequence: CachedSequence;
  readonly start: number;
  readonly count: number;
  /** A row for each token, or none. */
  readonly logits: Float32Array;
}

const defaultMaxTokens = 256;
/** Samples during training. */
const sampleTokens = 200;

/** One caller at a time: programs share the device's memory, and a second one would write into the first one's tensors. */
export class Model {
  readonly manifest: Manifest;
  readonly device: Device;
  readonly source: BuildSource;
  readonly host: Host;
  readonly tokenizerJson: string | undefined;
  readonly #tokenizer: Tokenizer | undefined;
  readonly #cache: PagedCache;
  #hasWeights = false;
  #isClosed = false;
  /** The call that is at work. */
  #call: string | undefined;

  constructor({ manifest, device, source, host, tokenizer, tokenizerJson }: ModelParts) {
    this.manifest = manifest;
    this.device = device;
    this.source = source;
    this.host = host;
    this.tokenizerJson = tokenizerJson;
    this.#tokenizer = tokenizer;
    this.#cache = new PagedCache(device);
  }

  /** In the order of the manifest; the names of a checkpoint. */
  get parameterNames(): readonly string[] {
    return this.manifest.parameters.map(({ name }) => name);
  }

  get hasWeights(): boolean {
    return this.#hasWeights;
  }

  /** Errors: `model/no-tokenizer`. */
  get tokenizer(): Tokenizer {
    if (this.#tokenizer === undefined) throw messages.noTokenizer(this.manifest.data?.tokenizer);
    return this.#tokenizer;
  }

  /** A parameter's values, row by row. */
  async parameter(name: string): Promise<Float32Array> {
    this.#checkOpen();
    return this.device.read(this.#parameter(name).name);
  }

  /** Sets some or all parameters. Names and lengths are checked before anything changes. */
  setParameters(entries: Iterable<readonly [string, Float32Array]>): Promise<void> {
    return this.#alone("setParameters", () => this.#setParameters(entries));
  }

  async #setParameters(entries: Iterable<readonly [string, Float32Array]>): Promise<void> {
    const checked = [...entries];
    for (const [name, values] of checked) {
      const parameter = this.#parameter(name);
      if (values.length !== parameterLength(parameter)) {
        throw messages.wrongLength(name, parameter.dims, values.length);
      }
    }
    for (const [name, values] of checked) this.device.write(name, values);
    await this.device.run("derive");
    this.#hasWeights = true;
  }

  /** Sets all parameters to what the spec's `init` rules draw; the spec's seed unless another is given. */
  initialize(seed = this.manifest.training?.seed ?? 0): Promise<void> {
    return this.#alone("initialize", () => this.#initialize(seed));
  }

  async #initialize(seed: number): Promise<void> {
    const { parameters } = this.manifest;
    if (!(Number.isSafeInteger(seed) && seed >= 0)) throw messages.badSeed(seed);
    await this.#setParameters(
      parameters.map((parameter, index) => [parameter.name, initialValues(parameter, index, seed)] as const),
    );
  }

  /**
   * Loads all parameters from a safetensors file, or none: see `model/weights-differ`. In a page a path is an address, or
   * the file that somebody chose stands for it.
   */
  loadWeights(from: string | Blob): Promise<void> {
    return this.#alone("loadWeights", () => this.#loadWeights(from));
  }

  async #loadWeights(from: string | Blob): Promise<void> {
    const reader = typeof from === "string" ? await this.#openWeights(from) : blobReader(from, nameOf(from));
    try {
      const file = await openSafetensors(reader);
      await this.#setParameters(await readWeights(file, reader.path, this.manifest.parameters));
    } finally {
      await reader.close();
    }
  }

  async #openWeights(path: string): Promise<FileReader> {
    const stat = await this.host.disk.stat(path);
    if (stat === undefined) throw messages.missingWeights(path);
    if (stat.kind !== "file") throw messages.notAFile("weights", path);
    return this.host.disk.openRead(path);
  }

  /** Trains as the spec says; a model without weights begins with the spec's initial ones. */
  train(options: TrainOptions = {}): Promise<TrainResult> {
    return this.#alone("train", () => trainModel(this.#trainee(), options));
  }

  #trainee(): Trainee {
    const { manifest, device, source, host, tokenizerJson, hasWeights } = this;
    return {
      ...{ manifest, device, source, host, tokenizerJson, hasWeights },
      tokenizer: () => this.tokenizer,
      initialize: () => this.#initialize(manifest.training?.seed ?? 0),
      setParameters: (entries) => this.#setParameters(entries),
      sampleText: () => this.#sampleText(),
    };
  }

  /** The mean loss of predicting each token of a text from those before it: documents, or tokens. */
  async evaluate(text: readonly string[] | TokenStream): Promise<Evaluation> {
    return this.#alone("evaluate", async () => {
      const { training, name, model } = this.manifest;
      if (training === undefined) throw messages.notTrained(name);
      this.#checkWeights();
      const stream = "tokens" in text ? text : encodeDocuments(this.tokenizer, text);
      checkTokens(stream.tokens, model.vocab);
      return evaluateStream(this.device, training, stream);
    });
  }

  /** The logits after every token of one sequence: [tokens, vocab], row by row. */
  logits(tokens: ArrayLike<number>): Promise<Float32Array> {
    return this.#alone("logits", () => this.#logits(tokens));
  }

  async #logits(tokens: ArrayLike<number>): Promise<Float32Array> {
    this.#checkWeights();
    const { context, vocab } = this.manifest.model;
    checkTokens(tokens, vocab);
    const logits = new Float32Array(tokens.length * vocab);
    await this.#inPieces(tokens, context, "all", ({ start, logits: rows }) => logits.set(rows, start * vocab));
    return logits;
  }

  /**
   * The residual stream of one sequence: behind the embedding, behind every layer but the last, and behind the final norm,
   * each [tokens, width]. Undefined unless the model was compiled to give them.
   */
  hiddenStates(tokens: ArrayLike<number>): Promise<Float32Array[] | undefined> {
    return this.#alone("hiddenStates", () => this.#hiddenStates(tokens));
  }

  async #hiddenStates(tokens: ArrayLike<number>): Promise<Float32Array[] | undefined> {
    this.#checkWeights();
    const { context, vocab, width, layers } = this.manifest.model;
    const results = this.manifest.programs.find(({ name }) => name === "extend")?.results ?? {};
    const names = Array.from({ length: layers + 1 }, (_, i) => results[`hidden.${i}`] ?? "");
    if (names.includes("")) return undefined;
    checkTokens(tokens, vocab);
    const states = names.map(() => new Float32Array(tokens.length * width));
    await this.#inPieces(tokens, context, "none", async ({ start, count }) => {
      for (const [i, name] of names.entries()) {
        const read = await this.device.read(name, { program: "extend", count: count * width });
        states[i].set(read.subarray(0, count * width), start * width);
      }
    });
    return states;
  }

  /** Puts a sequence of its own through the model, as many tokens at once as it is compiled for. */
  async #inPieces(
    tokens: ArrayLike<number>,
    context: number,
    wanted: "none" | "all",
    take: (piece: SequencePiece) => Promise<void> | void,
  ): Promise<void> {
    const sequence = tokens.length > context ? undefined : this.#cache.open(tokens.length);
    if (sequence === undefined) throw tooManyTokens(tokens.length, Math.min(context, this.#cache.capacity));
    try {
      const ids = Int32Array.from(tokens);
      const chunk = this.manifest.serving.tokens;
      for (let start = 0; start < ids.length; start += chunk) {
        const piece = ids.subarray(start, start + chunk);
        const logits = await this.#cache.extend([{ sequence, tokens: piece, logits: wanted }]);
        await take({ sequence, start, count: piece.length, logits });
      }
    } finally {
      this.#cache.close(sequence);
    }
  }

  /** The logits of the token behind the next one, after every token but the last of a sequence: [tokens - 1, vocab]. */
  furtherLogits(tokens: ArrayLike<number>): Promise<Float32Array> {
    return this.#alone("furtherLogits", () => this.#furtherLogits(tokens));
  }

  async #furtherLogits(tokens: ArrayLike<number>): Promise<Float32Array> {
    this.#checkWeights();
    const { context, vocab } = this.manifest.model;
    if (!this.#cache.drafts) throw messages.predictsOneToken(this.manifest.name);
    checkTokens(tokens, vocab);
    const logits = new Float32Array(Math.max(0, tokens.length - 1) * vocab);
    const ids = Int32Array.from(tokens);
    await this.#inPieces(tokens, context, "none", async ({ sequence, start, count }) => {
      const next = ids.subarray(start + 1, start + 1 + count);
      const read = await this.#cache.draft([{ sequence, start, rows: count, next, logits: "all" }]);
      logits.set(read, start * vocab);
    });
    return logits;
  }

  /** Continues a prompt. */
  async generate(options: GenerateOptions, signal?: AbortSignal): Promise<Generated> {
    const [generated] = await this.#alone("generate", () => this.#generateAll([options], signal));
    return generated;
  }

  /** Continues several prompts together; each gets the tokens that it would get alone. */
  generateAll(list: readonly GenerateOptions[], signal?: AbortSignal): Promise<Generated[]> {
    return this.#alone("generateAll", () => this.#generateAll(list, signal));
  }

  async #generateAll(list: readonly GenerateOptions[], signal?: AbortSignal): Promise<Generated[]> {
    this.#checkWeights();
    const decoders = list.map(() => this.#tokenizer?.startDecoding());
    const requests = list.map((options, index) => this.#request(options, index, decoders[index]));
    const { context, vocab } = this.manifest.model;
    const limits = { context, vocab: Math.min(vocab, this.#tokenizer?.vocab ?? vocab) };
    const completions = await completeAll(this.#cache, limits, requests, signal);
    return completions.map(({ tokens, reason, drafts }, index) => {
      const rest = decoders[index]?.end();
      if (rest !== undefined && rest !== "") list[index].onText?.(rest);
      return { text: this.#tokenizer?.decode(tokens) ?? "", tokens, reason, drafts };
    });
  }

  /** What the model writes of its own accord: for a look at it while it is trained. As much as context and cache hold. */
  sampleText(): Promise<string> {
    return this.#alone("sampleText", () => this.#sampleText());
  }

  async #sampleText(): Promise<string> {
    const room = Math.min(this.manifest.model.context, this.#cache.capacity) - this.#beginning().length;
    const maxTokens = Math.max(1, Math.min(sampleTokens, room));
    const [{ text }] = await this.#generateAll([{ prompt: "", maxTokens, seed: this.manifest.training?.seed ?? 0 }]);
    return text;
  }

  /** Ends the device's threads, and whatever call is at work with a fault. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.device.close();
  }

  #request(options: GenerateOptions, index: number, decoder: StreamingDecoder | undefined): Request {
    const { prompt, maxTokens = defaultMaxTokens, seed = 0, sequence = index } = options;
    const { endTokens = [], onText, onToken } = options;
    const { temperature, topK, topP, minP } = { ...defaultSampling, ...withoutUndefined(options) };
    const tokens = typeof prompt === "string" ? this.tokenizer.encode(prompt) : prompt;
    const endOfText = this.#tokenizer?.endOfText;
    return {
      prompt: tokens.length > 0 ? tokens : this.#beginning(),
      maxTokens,
      seed,
      sequence,
      sampling: { temperature, topK, topP, minP },
      drafts: options.drafts ?? true,
      endTokens: new Set(endOfText === undefined ? endTokens : [endOfText, ...endTokens]),
      onToken: (token) => {
        onToken?.(token);
        const text = decoder?.push(token);
        if (text !== undefined && text !== "") onText?.(text);
      },
    };
  }

  /** What stands before a document: the token that ends the one before it, or a line break where there is none. */
  #beginning(): ArrayLike<number> {
    const endOfText = this.#tokenizer?.endOfText;
    if (endOfText !== undefined) return Int32Array.of(endOfText);
    const tokens = this.#tokenizer?.encode("\n") ?? new Int32Array(0);
    if (tokens.length === 0) throw emptyPrompt();
    return tokens;
  }

  /** Runs a call unless another one is at work. Errors: `model/busy`, `model/closed`. */
  async #alone<T>(call: string, work: () => Promise<T>): Promise<T> {
    this.#checkOpen();
    if (this.#call !== undefined) throw messages.busy(this.manifest.name, this.#call, call);
    this.#call = call;
    try {
      return await work();
    } finally {
      this.#call = undefined;
    }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw messages.closed(this.manifest.name);
  }

  #parameter(name: string): ManifestParameter {
    const parameter = this.manifest.parameters.find((candidate) => candidate.name === name);
    if (parameter === undefined) throw messages.noSuchParameter(name, this.parameterNames);
    return parameter;
  }

  #checkWeights(): void {
    if (!this.#hasWeights) throw messages.noWeights();
  }
}

const nameOf = (blob: Blob): string => ("name" in blob ? String(blob.name) : "the weights");

/** An option that is given as undefined is not given. */
function withoutUndefined(sampling: Partial<Sampling>): Partial<Sampling> {
  return Object.fromEntries(Object.entries(sampling).filter(([, value]) => value !== undefined));
}
