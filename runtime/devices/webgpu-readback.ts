// Reading from a GPU: bytes of arenas through a ring of staging buffers, in the order in which they were asked for.

import type { ManifestTensor } from "../contract.ts";
import { byteSpan, copyOut, memoryViews } from "../memory-map.ts";
import { mapToRead } from "./webgpu-resources.ts";

/** Spans that lie closer together than this are copied as one: a copy costs more than so many bytes. */
const gapBytes = 4096;

/** Values of a tensor, from row `first` on. */
export interface WantedValues {
  readonly tensor: ManifestTensor;
  readonly first: number;
  readonly count: number;
}

/** A range of an arena that is read in one piece, and what is taken out of it. */
interface Span {
  readonly arena: string;
  readonly begin: number;
  end: number;
}

/** A part of a span, and where it lies in its staging buffer. */
interface Piece {
  readonly span: Span;
  readonly offset: number;
  readonly bytes: number;
  readonly at: number;
}

/** What one staging buffer takes. */
export interface Batch {
  readonly pieces: Piece[];
  bytes: number;
}

/** A reading: batches in order, and the bytes that have arrived. */
export class Readback {
  readonly batches: readonly Batch[];
  readonly #wanted: readonly { readonly values: WantedValues; readonly span: Span; readonly begin: number }[];
  readonly #arrived = new Map<Span, ArrayBuffer>();

  constructor(wanted: readonly WantedValues[], slotBytes: number) {
    const placed = wanted.map((values) => ({ values, ...arenaSpan(values) }));
    const spans = mergeSpans(placed);
    this.#wanted = placed.map(({ values, arena, begin, end }) => {
      const span = spans.find((one) => one.arena === arena && one.begin <= begin && end <= one.end);
      if (span === undefined) throw new RangeError(`no span holds ${values.tensor.name}`);
      return { values, span, begin };
    });
    this.batches = packBatches(spans, slotBytes);
    for (const span of spans) this.#arrived.set(span, new ArrayBuffer(span.end - span.begin));
  }

  /** Encodes a batch's copies into a staging buffer. */
  static encode(batch: Batch, encoder: GPUCommandEncoder, arenas: ReadonlyMap<string, GPUBuffer>, to: GPUBuffer): void {
    for (const { span, offset, bytes, at } of batch.pieces) {
      const from = arenas.get(span.arena);
      if (from === undefined) throw new RangeError(`manifest has no arena ${span.arena}`);
      encoder.copyBufferToBuffer(from, span.begin + offset, to, at, bytes);
    }
  }

  /** Takes a batch over from its staging buffer, once it is there. */
  async arrive(batch: Batch, staging: GPUBuffer): Promise<void> {
    const bytes = Math.max(8, batch.bytes);
    await staging.mapAsync(mapToRead, 0, bytes);
    const mapped = new Uint8Array(staging.getMappedRange(0, bytes));
    for (const { span, offset, bytes: length, at } of batch.pieces) {
      const target = this.#arrived.get(span);
      if (target !== undefined) new Uint8Array(target, offset, length).set(mapped.subarray(at, at + length));
    }
    staging.unmap();
  }

  /** The values of everything that was wanted; all batches have arrived. */
  values(): Float32Array[] {
    return this.#wanted.map(({ values: { tensor, first, count }, span, begin }) => {
      const arrived = this.#arrived.get(span) ?? new ArrayBuffer(0);
      // Values without padding that nothing else was read with are taken as they are.
      if (tensor.dtype === "f32" && arrived.byteLength === count * 4) return new Float32Array(arrived);
      const data = new Float32Array(count);
      const views = memoryViews(arrived);
      // copyOut counts rows from the tensor's start, which lies before what has been read.
      if (count > 0) copyOut(views, begin - span.begin - byteSpan(tensor, count, first).begin, tensor, data, first);
      return data;
    });
  }
}

/** Whole words that values lie in. */
function arenaSpan({ tensor, first, count }: WantedValues): Span {
  const { begin, end } = byteSpan(tensor, count, first);
  return { arena: tensor.arena, begin: tensor.offset + begin, end: tensor.offset + Math.ceil(end / 4) * 4 };
}

function mergeSpans(placed: readonly Span[]): Span[] {
  const sorted = placed.toSorted((a, b) => (a.arena === b.arena ? a.begin - b.begin : a.arena < b.arena ? -1 : 1));
  const merged: Span[] = [];
  for (const { arena, begin, end } of sorted) {
    const last = merged.at(-1);
    if (last?.arena === arena && begin - last.end <= gapBytes) last.end = Math.max(last.end, end);
    else merged.push({ arena, begin, end });
  }
  return merged;
}

function packBatches(spans: readonly Span[], slotBytes: number): Batch[] {
  const batches: Batch[] = [];
  for (const span of spans) {
    for (let offset = 0; offset < span.end - span.begin; ) {
      let batch = batches.at(-1);
      if (batch === undefined || batch.bytes === slotBytes) {
        batch = { pieces: [], bytes: 0 };
        batches.push(batch);
      }
      const bytes = Math.min(slotBytes - batch.bytes, span.end - span.begin - offset);
      batch.pieces.push({ span, offset, bytes, at: batch.bytes });
      batch.bytes += bytes;
      offset += bytes;
    }
  }
  return batches;
}
