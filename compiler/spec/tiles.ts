// Tiles of products by target and selector: what the targets can compute of them.

import { parseTile } from "../formula/parse.ts";
import type { Diagnostic } from "../source/diagnostic.ts";
import * as say from "../source/messages/tile.ts";
import type { Place } from "../source/text.ts";
import { tileStep as wasmStep } from "../targets/wasm/limits.ts";
import { deepestTile, mostThreads, threadsOf, tileStep as wgslStep } from "../targets/wgsl/limits.ts";
import { type Entry, readEntries } from "./rules.ts";
import type { Section } from "./section.ts";
import type { TileRule, TileTarget } from "./spec.ts";

/** Larger tiles than any cache; it keeps products of extents exact. */
const mostExtent = 4096;

type Tile = TileRule["tile"];

const axes = ["rows", "columns", "depth"] as const;

/** What a target wants of a tile: extents in steps, and more that only it knows. */
const limits: Readonly<
  Record<TileTarget, { readonly step: Tile; readonly fault: (tile: Tile, place: Place) => Diagnostic | undefined }>
> = {
  wasm: { step: wasmStep, fault: () => undefined },
  wgsl: { step: wgslStep, fault: workgroupFault },
};

function workgroupFault(tile: Tile, place: Place): Diagnostic | undefined {
  const threads = threadsOf(tile);
  if (threads > mostThreads) return say.tooManyThreads(tile, threads, mostThreads, place);
  const deepest = deepestTile(tile);
  return tile.depth > deepest ? say.tooDeep(tile, deepest, place) : undefined;
}

export function readTiles(root: Section): TileRule[] {
  const tiles = root.section("tiles");
  return (["wasm", "wgsl"] as const).flatMap((target) =>
    readEntries(tiles, tiles.node(target), `tiles.${target}`, "with").flatMap((entry) => {
      const tile = readTile(root, target, entry);
      return tile === undefined ? [] : [{ target, selector: entry.selector, tile, key: entry.key }];
    }),
  );
}

function readTile(root: Section, target: TileTarget, { value }: Entry): Tile | undefined {
  const { diagnostics } = root.reading;
  const syntax = parseTile(value.text, diagnostics);
  if (syntax === undefined) return undefined;
  const { step, fault } = limits[target];
  const [option] = syntax.options;
  const large = syntax.extents.find((extent) => extent > mostExtent);
  const [rows, columns, depth] = syntax.extents;
  const tile: Tile = { rows, columns, depth };
  const uneven = axes.find((axis) => tile[axis] % step[axis] !== 0);
  let found: Diagnostic | undefined;
  if (syntax.extents.length !== 3) found = say.extents(target, syntax.extents.length, value.place);
  else if (option !== undefined) found = say.noOption(target, option.name, value.text.place(option.span));
  else if (large !== undefined) found = say.tooLarge(large, mostExtent, value.place);
  else if (uneven !== undefined)
    found = say.uneven({ target, extent: tile[uneven], step: step[uneven], axis: uneven }, value.place);
  else found = fault(tile, value.place);
  if (found === undefined) return tile;
  diagnostics.add(found);
  return undefined;
}
