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

/** Fields of a row tile: row of the page table, first row, rows, keys. */
const tileFields = 4;

export class PagedCache {
  readonly serving: ManifestServing;
  readonly #device: Device;
  readonly #vocab: number;
  readonly #pool: PagePool;
  readonly #rows: number[];
  readonly #result: string;

  constructor(device: Device) {
    const { serving, model, programs } = device.manifest;
    this.#device = device;
    this.serving = serving;
    this.#vocab = model.vocab;
    this.#pool = new PagePool(serving.pages);
    this.#rows = Array.from({ length: serving.sequences }, (_, index) => serving.sequences - 1 - index);
    this.#result = programs.find(({ name }) => name === "extend")?.results.logits ?? "";
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
    for (const extension of extensions) rows.add(extension);
    for (const [name, values] of Object.entries(rows.inputs)) {
      if (values.length > 0) this.#device.write(name, Int32Array.from(values));
    }
    const { tokens, output_rows: outputs } = rows.inputs;
    const tiles = rows.inputs.row_tiles.length / tileFields;
    await this.#device.run("extend", { tokens: tokens.length, outputs: outputs.length, tiles });
    for (const { sequence, tokens: added } of extensions) sequence.length += added.length;
    if (outputs.length === 0) return new Float32Array(0);
    return this.#device.read(this.#result, { program: "extend", count: outputs.length * this.#vocab });
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

  add({ sequence, tokens, logits }: Extension): void {
    const { page, rowTile } = this.#serving;
    const first = this.inputs.tokens.length;
    for (let i = 0; i < tokens.length; i++) {
      const position = sequence.length + i;
      this.inputs.tokens.push(tokens[i]);
      this.inputs.positions.push(position);
      this.inputs.slots.push(sequence.pages[Math.floor(position / page)] * page + (position % page));
      if (logits === "all" || (logits === "last" && i === tokens.length - 1)) this.inputs.output_rows.push(first + i);
    }
    for (let start = 0; start < tokens.length; start += rowTile) {
      const count = Math.min(rowTile, tokens.length - start);
      // The rows of a tile see the keys up to its last row's own; the mask decides for each row.
      this.inputs.row_tiles.push(sequence.row, first + start, count, sequence.length + start + count);
    }
  }
}
