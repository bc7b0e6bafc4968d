// Completes prompts: several sequences share every call, new ones join as soon as there is room, and prompts go in by
// chunks beside the tokens of the others. Knows tokens, no text.

import { badMaxTokens, badSampling, cacheTooSmall, promptTooLong } from "../messages/serve.ts";
import { streams, uniform } from "../random.ts";
import type { CachedSequence, Follow, PagedCache } from "./paged-cache.ts";
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
  /** Tokens of which each ends the text; none is part of it. */
  readonly endTokens: ReadonlySet<number>;
  /** Whether a token is guessed beside each that is chosen, so that both are checked in one call; only greedily. */
  readonly drafts: boolean;
  /** Called with each new token as it comes. */
  readonly onToken?: (token: number) => void;
}

export type StopReason = "end of text" | "most tokens" | "context" | "stopped";

export interface Completion {
  readonly tokens: Int32Array;
  readonly reason: StopReason;
  /** Tokens that were guessed one step ahead, and how many of them were right. */
  readonly drafts: DraftCount;
}

export interface DraftCount {
  readonly made: number;
  readonly accepted: number;
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
  /** What probably follows the pending token. */
  draft: number | undefined;
  readonly drafts: { made: number; accepted: number };
}

/** A request's part of a call. */
interface Turn {
  readonly running: Running;
  /** Position of its first token. */
  readonly start: number;
  readonly tokens: Int32Array;
  readonly isComplete: boolean;
  /** The last of the tokens, where it is a guess. */
  readonly draft: number | undefined;
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
    const drafts = { made: 0, accepted: 0 };
    this.completions = requests.map(() => ({ tokens: new Int32Array(0), reason: "stopped", drafts }));
  }

  get isBusy(): boolean {
    return this.#waiting.length + this.#running.length > 0;
  }

  /** One call of the model. */
  async step(): Promise<void> {
    this.#admit();
    const turns = this.#plan();
    const logits = await this.#cache.extend(
      turns.map(({ running: { sequence }, tokens, isComplete, draft }) => {
        return { sequence, tokens, logits: draft !== undefined ? "all" : isComplete ? "last" : "none" };
      }),
    );
    const rowCount = turns.reduce(
      (sum, { isComplete, draft }) => sum + Number(isComplete) + Number(draft !== undefined),
      0,
    );
    const rows = new LogitRows(logits, rowCount, this.#limits.vocab);
    for (const turn of turns) if (turn.isComplete) this.#takeAll(turn, rows);
    await this.#draft(turns);
  }

  /** In the order of the requests: one that waits for room is not overtaken. */
  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const { request, index } = next;
      const limit = Math.min(request.maxTokens, this.#limits.context - request.prompt.length);
      const sequence = this.#cache.open(request.prompt.length + limit);
      if (sequence === undefined) return;
      const pending = Int32Array.from(request.prompt);
      const drafts = { made: 0, accepted: 0 };
      this.#running.push({ index, request, sequence, limit, tokens: [], pending, draft: undefined, drafts });
      this.#waiting.shift();
    }
  }

  /** Single tokens first, so that no prompt holds up the others; what is left of the call goes to prompts. */
  #plan(): Turn[] {
    const turns: Turn[] = [];
    let room = this.#cache.serving.tokens;
    for (const running of this.#running.toSorted((a, b) => rank(a) - rank(b))) {
      const tokens = running.pending.subarray(0, room);
      if (tokens.length === 0) continue;
      const isComplete = tokens.length === running.pending.length;
      const draft = isComplete && room > tokens.length ? running.draft : undefined;
      const all = draft === undefined ? tokens : Int32Array.of(...tokens, draft);
      turns.push({ running, start: running.sequence.length, tokens: all, isComplete, draft });
      running.pending = running.pending.subarray(tokens.length);
      running.draft = undefined;
      room -= all.length;
    }
    return turns;
  }

  /** The next token, and the one behind it where the guess was right. */
  #takeAll({ running, draft }: Turn, rows: LogitRows): void {
    const [first, second] = [rows.next(), draft === undefined ? undefined : rows.next()];
    const token = this.#take(running, first);
    if (second === undefined) return;
    running.drafts.made++;
    if (token === draft) running.drafts.accepted++;
    // Finished requests have given their pages back.
    if (token === undefined) return;
    if (token === draft) this.#take(running, second);
    else this.#cache.rewind(running.sequence, 1);
  }

  /** Guesses the token behind the one that was chosen last, for everybody who goes on greedily. */
  async #draft(turns: readonly Turn[]): Promise<void> {
    if (!turns.some(({ running }) => this.#isDrafting(running))) return;
    const follows = turns.map((turn): Follow => {
      const { running, start, tokens, isComplete } = turn;
      const { sequence, limit } = running;
      // Rows of a guess that was wrong are behind the sequence's end by now.
      const known = this.#isDrafting(running) ? tokens.subarray(1, sequence.length - start) : undefined;
      const next = known === undefined ? [] : [...known, running.pending[0]];
      const isWanted = known !== undefined && isComplete && running.tokens.length + 1 < limit;
      return { sequence, start, rows: tokens.length, next, logits: isWanted ? "last" : "none" };
    });
    const logits = await this.#cache.draft(follows);
    const wanted = follows.flatMap((follow, i) => (follow.logits === "last" ? [turns[i].running] : []));
    const rows = new LogitRows(logits, wanted.length, this.#limits.vocab);
    for (const running of wanted) running.draft = chooseToken(rows.next(), running.request.sampling, 0);
  }

  #isDrafting(running: Running): boolean {
    const { drafts, sampling } = running.request;
    return drafts && this.#cache.drafts && sampling.temperature === 0 && this.#running.includes(running);
  }

  /** The token that goes on the text; undefined if it ended. */
  #take(running: Running, logits: Float32Array): number | undefined {
    const { request, sequence, tokens } = running;
    const key = { seed: request.seed, stream: streams.sampling, step: request.sequence };
    const token = chooseToken(logits, request.sampling, uniform(key, sequence.length));
    if (request.endTokens.has(token)) {
      this.#finish(running, "end of text");
      return undefined;
    }
    tokens.push(token);
    request.onToken?.(token);
    running.pending = Int32Array.of(token);
    if (tokens.length === running.limit) {
      this.#finish(running, running.limit === request.maxTokens ? "most tokens" : "context");
      return undefined;
    }
    return token;
  }

  #finish(running: Running, reason: StopReason): void {
    this.completions[running.index] = { tokens: Int32Array.from(running.tokens), reason, drafts: running.drafts };
    this.#running = this.#running.filter((other) => other !== running);
    this.#cache.close(running.sequence);
  }

  /** Records what there is of requests that were stopped, and gives back their pages. */
  close(): void {
    for (const running of this.#running) this.#finish(running, "stopped");
  }
}

/** Rows of logits, one after the other, without the columns that are no tokens. */
class LogitRows {
  readonly #logits: Float32Array;
  readonly #width: number;
  readonly #vocab: number;
  #at = 0;

  constructor(logits: Float32Array, rows: number, vocab: number) {
    this.#logits = logits;
    this.#width = rows === 0 ? 0 : logits.length / rows;
    this.#vocab = vocab;
  }

  next(): Float32Array {
    const start = this.#at;
    this.#at += this.#width;
    return this.#logits.subarray(start, start + this.#vocab);
  }
}

const rank = ({ pending }: Running): number => (pending.length === 1 ? 0 : 1);
