// How the kernels of attention share out their work: each thread for itself, or a workgroup per block of rows.

import type { BlockSize } from "../attention-blocks.ts";
import type { TileCount } from "../plan.ts";
import { fixed } from "../planner.ts";
import type { Target } from "../target.ts";
import type { AttentionShape } from "./attention-operands.ts";

/** Keys that share one maximum, and queries that meet keys as one block, where threads work for themselves. */
export const keyBlock = 64;
const queryBlock = 32;
/** Invocations of a workgroup where each works for itself. */
export const ownThreads = 64;
/** Rows that a workgroup meets at a time, where threads share: four of them and four of its own per thread. */
export const otherBlock = 32;
export const mostOwn = 64;
/** Fewer workgroups leave a large GPU idle: 132 multiprocessors on an H100. */
const fewestWorkgroups = 128;

export interface Share {
  readonly template: string;
  readonly tile: string;
  readonly threads: number;
  /** Constants of the template. */
  readonly numbers: { readonly ownBlock: number; readonly otherBlock: number } | Readonly<Record<string, number>>;
  readonly tiles: TileCount;
  /** What workgroups have blocks of; undefined: threads work for themselves. */
  readonly owns: "queries" | "keys" | undefined;
  /** Queries and keys that the mask may let pass as one. */
  readonly block: BlockSize;
}

/** What of a whole run's sequences there is to share out. */
export interface Sequences {
  readonly shape: Pick<AttentionShape, "heads" | "kvHeads">;
  readonly sequence: number;
  /** Of all sequences. */
  readonly rows: number;
}

const isShared = ({ profile }: Target): boolean => profile === "gpu";

/** Rows that a workgroup owns: as many as make enough workgroups of `rows` rows, `times` times. */
function ownRows(rows: number, times: number): { readonly own: number; readonly tiles: TileCount } {
  const workgroups = (own: number): number => times * Math.ceil(rows / own);
  const own = [mostOwn, 32].find((count) => workgroups(count) >= fewestWorkgroups) ?? 16;
  return { own, tiles: [{ count: fixed(workgroups(own)), per: 1 }] };
}

/** How a kernel says what its workgroups have. */
export const sharedText = (what: string, others: string): string =>
  `${what} per workgroup, in blocks of ${otherBlock} ${others}; slices of 32 channels are in workgroup memory`;

/** Four times four pairs per thread. */
export const threadsOf = (own: number): number => (own * otherBlock) / 16;

/** Kernels that find something for every query: it meets all keys. */
export function queriesShare(target: Target, template: string, { shape, sequence, rows }: Sequences): Share {
  const { heads, kvHeads } = shape;
  if (!isShared(target)) {
    return {
      template: `${template}-thread`,
      tile: `one head of one query per thread, in blocks of ${keyBlock} keys`,
      threads: ownThreads,
      numbers: { keyBlock },
      tiles: [{ count: fixed(rows), times: heads, per: ownThreads }],
      owns: undefined,
      block: { queries: 1, keys: keyBlock },
    };
  }
  const group = heads / kvHeads;
  const { own, tiles } = ownRows(sequence * group, (rows / sequence) * kvHeads);
  return {
    template: `${template}-tile`,
    tile: sharedText(`${own} queries of the heads that share a key-value head`, "keys"),
    threads: threadsOf(own),
    numbers: { ownBlock: own, otherBlock },
    tiles,
    owns: "queries",
    block: { queries: Math.ceil(own / group), keys: otherBlock },
  };
}

/** Kernels that find something for every key: it meets all queries. */
export function keysShare(target: Target, template: string, { shape, sequence, rows }: Sequences): Share {
  const { heads, kvHeads } = shape;
  const sequences = rows / sequence;
  if (!isShared(target)) {
    return {
      template: `${template}-thread`,
      tile: `four keys of one head per thread, in blocks of ${queryBlock} queries`,
      threads: ownThreads,
      numbers: { queryBlock },
      tiles: [{ count: fixed(sequences * Math.ceil(sequence / 4)), times: kvHeads, per: ownThreads }],
      owns: undefined,
      block: { queries: queryBlock, keys: 4 },
    };
  }
  const { own, tiles } = ownRows(sequence, sequences * kvHeads);
  return {
    template: `${template}-tile`,
    tile: sharedText(`${own} keys of one head`, "queries"),
    threads: threadsOf(own),
    numbers: { ownBlock: own, otherBlock },
    tiles,
    owns: "keys",
    block: { queries: Math.ceil((otherBlock * kvHeads) / heads), keys: own },
  };
}
