// Sequences on the device's key-value cache, and the call that extends several of them at once by new tokens. Knows where
// rows and pages go; chooses no token.

import type { ManifestServing } from "../contract.ts";
import type { Device } from "../device.ts";
import { PagePool } from "./page-pool.ts";

/** A sequence whose keys and values lie in pages of the cache. */
export interface CachedSequence {
  /** Row of the page table. */
  readonly row: number;
  /** Page of positions [i * page, (i + 1) * page). */
  readonly pages: readonly number[];
  /** Tokens in the cache so far. */
  length: number;
}

/** New tokens of one sequence, behind those that it has. */
export interface Extension {
  readonly sequence: CachedSequence;
  readonly tokens: ArrayLike<number>;
  /** Of which of the new tokens logits are wanted. */
  readonly logits: "none" | "last" | "all";
}

/** What came behind the rows of an extension. */
export interface Follow {
  readonly sequence: CachedSequence;
  /** Position of the extension's first row, and how many it had. */
  readonly start: number;
  readonly rows: number;
  /** The token behind each of its first rows; rows beyond these were taken back, or nobody asks about them. */
  readonly next: ArrayLike<number>;
  readonly logits: "none" | "last" | "all";
}

const keysOf = (list: ArrayLike<number>): number[] => Array.from({ length: list.length }, (_, i) => i);

/** Fields of a row tile: row of the page table, first row, rows, keys. */
const tileFields = 4;

export class PagedCache {
  readonly serving: ManifestServing;
  readonly #device: Device;
  readonly #vocab: number;
  readonly #pool: PagePool;
  readonly #rows: number[];
  /** Tensors of logits, by program. */
  readonly #results: ReadonlyMap<string, string>;

  constructor(device: Device) {
    const { serving, model, programs } = device.manifest;
    this.#device = device;
    this.serving = serving;
    this.#vocab = model.vocab;
    this.#pool = new PagePool(serving.pages);
    this.#rows = Array.from({ length: serving.sequences }, (_, index) => serving.sequences - 1 - index);
    this.#results = new Map(programs.map(({ name, results }) => [name, results.logits ?? ""]));
    if (this.drafts)
      device.write(
        "row_numbers",
        Int32Array.from({ length: serving.tokens }, (_, row) => row),
      );
  }

  /** Whether the model predicts a token beyond the next one. */
  get drafts(): boolean {
    return this.#results.has("draft");
  }

  /** The most tokens that all sequences together can have. */
  get capacity(): number {
    return this.serving.pages * this.serving.page;
  }

  /** Opens a sequence with room for `capacity` tokens; undefined while others hold the pages or rows for it. */
  open(capacity: number): CachedSequence | undefined {
    if (this.#rows.length === 0) return undefined;
    const pages = this.#pool.take(this.pagesFor(capacity));
    const row = pages === undefined ? undefined : this.#rows.pop();
    if (pages === undefined || row === undefined) return undefined;
    this.#device.write("page_table", Int32Array.from(pages), row);
    return { row, pages, length: 0 };
  }

  close({ row, pages }: CachedSequence): void {
    this.#pool.giveBack(pages);
    this.#rows.push(row);
  }

  pagesFor(tokens: number): number {
    return Math.ceil(tokens / this.serving.page);
  }

  /**
   * Puts the new tokens of all sequences through the model; at most `serving.tokens` of them in all.
   *
   * Returns logits, a row of the vocabulary for each token that asked for them, in the order of the extensions.
   */
  async extend(extensions: readonly Extension[]): Promise<Float32Array> {
    const rows = new ExtendRows(this.serving);
    for (const { sequence, tokens, logits } of extensions) {
      const outputs =
        tokens.length === 0 || logits === "none" ? [] : logits === "last" ? [tokens.length - 1] : keysOf(tokens);
      rows.add(sequence, sequence.length, tokens, tokens.length, outputs);
    }
    const read = await this.#run("extend", rows);
    for (const { sequence, tokens: added } of extensions) sequence.length += added.length;
    return read;
  }

  /**
   * Predicts the token behind the next one from the hidden states of the last `extend`, whose extensions these follow one by one.
   *
   * Returns logits, a row of the vocabulary for the last known row of each that asked for them.
   */
  draft(follows: readonly Follow[]): Promise<Float32Array> {
    const rows = new ExtendRows(this.serving);
    for (const { sequence, start, rows: count, next, logits } of follows) {
      rows.add(
        sequence,
        start,
        next,
        count,
        logits === "last" ? [next.length - 1] : logits === "all" ? keysOf(next) : [],
      );
    }
    return this.#run("draft", rows);
  }

  /** Takes back the newest tokens of a sequence: what they left in the cache is written over. */
  rewind(sequence: CachedSequence, count: number): void {
    sequence.length -= count;
  }

  async #run(program: "extend" | "draft", rows: ExtendRows): Promise<Float32Array> {
    for (const [name, values] of Object.entries(rows.inputs)) {
      if (values.length > 0) this.#device.write(name, Int32Array.from(values));
    }
    const { tokens, output_rows: outputs } = rows.inputs;
    const tiles = rows.inputs.row_tiles.length / tileFields;
    const counts = { tokens: tokens.length, outputs: outputs.length, tiles };
    if (outputs.length === 0) {
      await this.#device.run(program, counts);
      return new Float32Array(0);
    }
    const logits = { tensor: this.#results.get(program) ?? "", count: outputs.length * this.#vocab };
    const [read] = await this.#device.runAndRead(program, counts, [logits]);
    return read;
  }
}

/** The inputs of one call, row by row. */
class ExtendRows {
  readonly inputs = {
    tokens: [] as number[],
    positions: [] as number[],
    slots: [] as number[],
    row_tiles: [] as number[],
    output_rows: [] as number[],
  };
  readonly #serving: ManifestServing;

  constructor(serving: ManifestServing) {
    this.#serving = serving;
  }

  /** `tokens` are those of the first of `count` rows; the rows behind them are kept out of cache and attention. */
  add(
    sequence: CachedSequence,
    start: number,
    tokens: ArrayLike<number>,
    count: number,
    outputs: readonly number[],
  ): void {
    const { page, rowTile } = this.#serving;
    const first = this.inputs.tokens.length;
    for (let i = 0; i < count; i++) {
      const position = start + i;
      const isKnown = i < tokens.length;
      const slot = isKnown ? sequence.pages[Math.floor(position / page)] * page + (position % page) : -1;
      this.inputs.tokens.push(isKnown ? tokens[i] : 0);
      this.inputs.positions.push(isKnown ? position : 0);
      this.inputs.slots.push(slot);
    }
    for (const output of outputs) this.inputs.output_rows.push(first + output);
    for (let begin = 0; begin < tokens.length; begin += rowTile) {
      const rows = Math.min(rowTile, tokens.length - begin);
      // The rows of a tile see the keys up to its last row's own; the mask decides for each row.
      this.inputs.row_tiles.push(sequence.row, first + begin, rows, start + begin + rows);
    }
  }
}
