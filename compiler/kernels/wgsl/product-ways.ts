// The ways to compute a product: tiles in a workgroup's memory; few rows, with a contraction that threads share; and for
// adapters in software one thread by itself. Of two for the same product, the number of rows in a run decides.

import type { LiveCount } from "../../graph/types.ts";
import { invariant } from "../../source/diagnostic.ts";
import { deepestTile, threadBlock, threadsOf, tileStep } from "../../targets/wgsl/limits.ts";
import type { Count } from "../plan.ts";
import { capacityOf, type MatmulTile, type NodePlanner } from "../planner.ts";
import type { WgslNumbers } from "./kernels.ts";
import type { Form } from "./product-blocks.ts";

/** How a kernel computes products, and of which numbers of rows it is asked to. */
export interface ProductWay {
  /** Part of the kernel's name. */
  readonly name: string;
  /** In which order the contraction is summed. */
  readonly order: string;
  readonly rows: number;
  readonly columns: number;
  readonly threads: number;
  /** Whether threads add up parts of a contraction. */
  readonly addsOverLanes: boolean;
  readonly numbers: WgslNumbers;
  /** What a workgroup computes, after a number of rows: `64 rows${…}`. */
  readonly text: (rows: string) => string;
  /** It is for more rows than `above`, and for at most `upTo`. */
  readonly above: number;
  readonly upTo: number;
}

/** What decides between ways. */
export interface ProductShape {
  readonly form: Form;
  readonly rows: Count;
  readonly columns: number;
  /** The contraction; undefined: counted at run time. */
  readonly depth: number | undefined;
  readonly tile: MatmulTile;
  /** So many rows, or fewer, are few; below that many b is read again for every 8 rows rather than once for all. */
  readonly few: number;
  /** Rows of a workgroup where rows are few. */
  readonly fewRows: number;
  /** How many products of this shape a launch computes, such as one per head. */
  readonly products: number;
}

/**
 * Rows up to which a contraction is shared by threads instead of rows by tiles. Tiles of fewer columns than a GPU has
 * processors wait for memory block by block; eight rows at a time read b again, from a cache, for as many workgroups more.
 */
export const fewRows = 32;

const whole = (size: number, step: number): number => Math.ceil(size / step) * step;

/** All ways that runs of a product may need: one, or one for few rows and one for more. */
export function productWays(planner: NodePlanner, shape: ProductShape): ProductWay[] {
  const { target } = planner;
  const { form, rows, few } = shape;
  if (target.profile === "soft") return [softWay(shape)];
  if (form !== "TN" && capacityOf(rows) <= few) return [fewWay(shape)];
  const tiled = tiledWay(shape, shape.tile === target.defaultTile ? ownTile(planner, shape) : shape.tile);
  if (form === "TN" || rows.kind === "fixed") return [tiled];
  return [
    { ...fewWay(shape), upTo: few },
    { ...tiled, above: few },
  ];
}

/** A number of tiles where this way is the one for so many rows, else 0. */
export function countWhere({ above, upTo }: ProductWay, rows: Count, tiles: Count): Count {
  if (rows.kind === "fixed") return tiles;
  const count: LiveCount = tiles.kind === "fixed" ? tiles.value : tiles.live;
  const gates: LiveCount[] = [];
  if (above > 0) gates.push(["min", 1, ["max", 0, ["-", rows.live, above]]]);
  if (upTo < rows.capacity) gates.push(["min", 1, ["max", 0, ["-", upTo + 1, rows.live]]]);
  const live = gates.reduce<LiveCount>((product, gate) => ["*", product, gate], count);
  return { kind: "live", live, capacity: capacityOf(tiles) };
}

/** Columns of one thread in software, and rows unless there are fewer: as many as fit into registers. */
const softBlock = 8;

function softWay({ tile, rows: counted, columns }: ProductShape): ProductWay {
  const rows = capacityOf(counted);
  const threadRows = rows <= 4 ? 4 : softBlock;
  const tileRows = Math.min(tile.rows, whole(Math.max(rows, 1), threadRows));
  const tileColumns = Math.min(tile.columns, whole(columns, softBlock));
  const columnThreads = tileColumns / softBlock;
  return {
    name: `t${tileRows}x${tileColumns}`,
    order: "in ascending k",
    rows: tileRows,
    columns: tileColumns,
    threads: (tileRows / threadRows) * columnThreads,
    addsOverLanes: false,
    numbers: {
      ...{ isSoft: true, isTiled: false, isFew: false, threadRows, isTall: threadRows > 4, columnThreads },
      ...sizes(tileRows, tileColumns, columns),
    },
    text: (what) => `${tileRows} rows${what} by ${tileColumns} columns; ${threadRows} by ${softBlock} per thread`,
    above: 0,
    upTo: Number.POSITIVE_INFINITY,
  };
}

const sizes = (tileRows: number, tileColumns: number, columns: number): WgslNumbers => ({
  tileRows,
  tileColumns,
  columnTiles: Math.ceil(columns / tileColumns),
});

/** A large tile reads least of its operands; but a GPU of a hundred processors wants about two workgroups for each. */
const largeTile: MatmulTile = { rows: 128, columns: 128, depth: 8 };
const smallTile: MatmulTile = { rows: 32, columns: 32, depth: 16 };
const enoughTiles = 200;

/** The largest tile of which there are enough, where a spec says nothing. */
function ownTile(planner: NodePlanner, { rows, columns, products, tile }: ProductShape): MatmulTile {
  const most = capacityOf(rows);
  const tilesOf = (t: MatmulTile) => products * Math.ceil(most / t.rows) * Math.ceil(columns / t.columns);
  const chosen = [largeTile, tile].find((t) => tilesOf(t) >= enoughTiles) ?? smallTile;
  const extents = `${most} x ${columns}${products > 1 ? `, ${products} times,` : ""}`;
  planner.note(
    "tile",
    `${extents} are ${tilesOf(chosen)} tiles of ${chosen.rows} x ${chosen.columns} x ${chosen.depth}`,
  );
  return chosen;
}

function tiledWay({ rows, columns }: ProductShape, tile: MatmulTile): ProductWay {
  const most = Math.max(1, capacityOf(rows));
  const [tileRows, tileColumns] = [
    Math.min(tile.rows, whole(most, tileStep.rows)),
    Math.min(tile.columns, whole(columns, tileStep.columns)),
  ];
  const edges = { rows: tileRows, columns: tileColumns };
  const [block, threads] = [threadBlock(edges), threadsOf(edges)];
  const columnThreads = tileColumns / block;
  const tileDepth = Math.min(tile.depth, deepestTile(edges));
  const [aVectors, bVectors] = [tileRows / 4, tileColumns / 4];
  const [aBlocks, bBlocks] = [aVectors * (tileDepth / 4), bVectors * (tileDepth / 4)];
  invariant(aBlocks + bBlocks <= threads, `a tile of ${tileRows} by ${tileColumns} has more blocks than threads`);
  return {
    name: `t${tileRows}x${tileColumns}x${tileDepth}`,
    order: "in ascending k",
    rows: tileRows,
    columns: tileColumns,
    threads,
    addsOverLanes: false,
    numbers: {
      ...{ isSoft: false, isTiled: true, isFew: false, isLarge: block === 8 },
      ...sizes(tileRows, tileColumns, columns),
      ...{ columnThreads, tileDepth, aVectors, bVectors, aBlocks, blocks: aBlocks + bBlocks },
      // Eight threads side by side write vectors of tileDepth / 4 different k.
      turn: tileDepth === 8 ? 4 : 2,
      ...{ aTileLength: tileDepth * aVectors, bTileLength: tileDepth * bVectors },
    },
    text: (what) =>
      `${tileRows} rows${what} by ${tileColumns} columns, ${block} by ${block} per thread; contraction ${tileDepth} at a time through workgroup memory`,
    above: 0,
    upTo: Number.POSITIVE_INFINITY,
  };
}

const fewThreads = 128;

/** Along the contraction where rows of b run that way, so that threads side by side read side by side; else across. */
function fewWay({ form, columns, depth, fewRows: rows }: ProductShape): ProductWay {
  const vectors = Math.ceil((depth ?? 4) / 4);
  // A thread reads four vectors of each row, or more where the contraction is longer than all threads together take.
  const wanted = form === "NT" ? Math.max(Math.min(32, vectors), vectors / 4) : Math.min(16, vectors);
  const lanes = Math.min(fewThreads, 2 ** Math.ceil(Math.log2(wanted)));
  const columnVectors = Math.min(fewThreads / lanes, 2 ** Math.ceil(Math.log2(Math.ceil(columns / 4))));
  const tileColumns = 4 * columnVectors;
  const [laneStep, columnStep] = form === "NT" ? [1, lanes] : [columnVectors, 1];
  return {
    name: `few${rows}x${tileColumns}`,
    order: `every ${lanes}th four k by one thread`,
    rows,
    columns: tileColumns,
    threads: lanes * columnVectors,
    addsOverLanes: lanes > 1,
    numbers: {
      ...{ isSoft: false, isTiled: false, isFew: true, lanes, laneStep, columnVectors, columnStep },
      ...sizes(rows, tileColumns, columns),
    },
    text: (what) => `${rows} rows${what} by ${tileColumns} columns, whose contraction ${lanes} threads share`,
    above: 0,
    upTo: Number.POSITIVE_INFINITY,
  };
}
