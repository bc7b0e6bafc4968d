// Completes prompts: several sequences share every call, new ones join as soon as there is room, and prompts go in by
// chunks beside the tokens of the others. Knows tokens, no text.

import { badMaxTokens, badSampling, cacheTooSmall, promptTooLong } from "../messages/serve.ts";
import { streams, uniform } from "../random.ts";
import type { CachedSequence, Extension, PagedCache } from "./paged-cache.ts";
import { checkSampling, chooseToken, type Sampling } from "./sampler.ts";
import { checkTokens } from "./tokens.ts";

export interface Request {
  /** At least one token. */
  readonly prompt: ArrayLike<number>;
  /** The most new tokens. */
  readonly maxTokens: number;
  readonly sampling: Sampling;
  readonly seed: number;
  /** Tells apart sequences of one seed: two with the same number and prompt get the same tokens. */
  readonly sequence: number;
  /** A token that ends the text; it is not part of it. */
  readonly endOfText: number | undefined;
  /** Called with each new token as it comes. */
  readonly onToken?: (token: number) => void;
}

export type StopReason = "end of text" | "most tokens" | "context" | "stopped";

export interface Completion {
  readonly tokens: Int32Array;
  readonly reason: StopReason;
}

/** The limits of a model that requests must keep to. */
export interface EngineLimits {
  /** Positions of the model. */
  readonly context: number;
  /** Ids below this are tokens; the model may have more rows. */
  readonly vocab: number;
}

/** A request that is being completed. */
interface Running {
  readonly index: number;
  readonly request: Request;
  readonly sequence: CachedSequence;
  /** The most tokens that it may get: what was asked for, or what the context leaves. */
  readonly limit: number;
  readonly tokens: number[];
  /** Not yet in the cache. */
  pending: Int32Array;
}

/** Completes all requests. A signal stops between two tokens: what is there by then is returned. */
export async function completeAll(
  cache: PagedCache,
  limits: EngineLimits,
  requests: readonly Request[],
  signal?: AbortSignal,
): Promise<Completion[]> {
  for (const request of requests) checkRequest(request, cache, limits);
  const engine = new Engine(cache, limits, requests);
  try {
    while (engine.isBusy && signal?.aborted !== true) await engine.step();
  } finally {
    engine.close();
  }
  return engine.completions;
}

/** Errors: `serve/…` with the numbers that do not fit. */
function checkRequest(request: Request, cache: PagedCache, limits: EngineLimits): void {
  const { prompt, maxTokens, sampling, seed, sequence } = request;
  checkSampling(sampling);
  for (const [option, value] of Object.entries({ seed, sequence })) {
    if (!(Number.isSafeInteger(value) && value >= 0)) throw badSampling(option, value, "a whole number from 0");
  }
  if (!(Number.isSafeInteger(maxTokens) && maxTokens > 0)) throw badMaxTokens(maxTokens);
  if (prompt.length >= limits.context) throw promptTooLong(prompt.length, limits.context);
  checkTokens(prompt, limits.vocab);
  const tokens = Math.min(prompt.length + maxTokens, limits.context);
  const { pages, page } = cache.serving;
  if (cache.pagesFor(tokens) > pages) throw cacheTooSmall(tokens, pages, page);
}

class Engine {
  readonly completions: Completion[];
  readonly #cache: PagedCache;
  readonly #limits: EngineLimits;
  readonly #waiting: { readonly request: Request; readonly index: number }[];
  #running: Running[] = [];

  constructor(cache: PagedCache, limits: EngineLimits, requests: readonly Request[]) {
    this.#cache = cache;
    this.#limits = limits;
    this.#waiting = requests.map((request, index) => ({ request, index }));
    this.completions = requests.map(() => ({ tokens: new Int32Array(0), reason: "stopped" }));
  }

  get isBusy(): boolean {
    return this.#waiting.length + this.#running.length > 0;
  }

  /** One call of the model. */
  async step(): Promise<void> {
    this.#admit();
    const { extensions, sampled } = this.#plan();
    const logits = await this.#cache.extend(extensions);
    const width = sampled.length === 0 ? 0 : logits.length / sampled.length;
    sampled.forEach((running, i) => {
      this.#take(running, logits.subarray(i * width, i * width + this.#limits.vocab));
    });
  }

  /** In the order of the requests: one that waits for room is not overtaken. */
  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const { request, index } = next;
      const limit = Math.min(request.maxTokens, this.#limits.context - request.prompt.length);
      const sequence = this.#cache.open(request.prompt.length + limit);
      if (sequence === undefined) return;
      const pending = Int32Array.from(request.prompt);
      this.#running.push({ index, request, sequence, limit, tokens: [], pending });
      this.#waiting.shift();
    }
  }

  /** Single tokens first, so that no prompt holds up the others; what is left of the call goes to prompts. */
  #plan(): { extensions: Extension[]; sampled: Running[] } {
    const extensions: Extension[] = [];
    const sampled: Running[] = [];
    let room = this.#cache.serving.tokens;
    for (const running of this.#running.toSorted((a, b) => rank(a) - rank(b))) {
      const tokens = running.pending.subarray(0, room);
      if (tokens.length === 0) continue;
      const isComplete = tokens.length === running.pending.length;
      extensions.push({ sequence: running.sequence, tokens, logits: isComplete ? "last" : "none" });
      if (isComplete) sampled.push(running);
      running.pending = running.pending.subarray(tokens.length);
      room -= tokens.length;
    }
    return { extensions, sampled };
  }

  #take(running: Running, logits: Float32Array): void {
    const { request, sequence, tokens } = running;
    const key = { seed: request.seed, stream: streams.sampling, step: request.sequence };
    const token = chooseToken(logits, request.sampling, uniform(key, sequence.length));
    if (token === request.endOfText) {
      this.#finish(running, "end of text");
      return;
    }
    tokens.push(token);
    request.onToken?.(token);
    running.pending = Int32Array.of(token);
    if (tokens.length === running.limit) {
      this.#finish(running, running.limit === request.maxTokens ? "most tokens" : "context");
    }
  }

  #finish(running: Running, reason: StopReason): void {
    this.completions[running.index] = { tokens: Int32Array.from(running.tokens), reason };
    this.#running = this.#running.filter((other) => other !== running);
    this.#cache.close(running.sequence);
  }

  /** Records what there is of requests that were stopped, and gives back their pages. */
  close(): void {
    for (const running of this.#running) this.#finish(running, "stopped");
  }
}

const rank = ({ pending }: Running): number => (pending.length === 1 ? 0 : 1);
