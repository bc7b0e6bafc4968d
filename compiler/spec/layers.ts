// The blocks of each layer: a block for all of them, or a list whose entries merge in order, each for a range of layers.

import { parseRange } from "../formula/parse.ts";
import * as say from "../source/messages/rule.ts";
import { both, quoted } from "../source/messages/words.ts";
import type { YamlEntry, YamlList, YamlMap, YamlNode } from "../source/yaml-node.ts";
import { keysOfKind, kindOf, refuseOtherKinds } from "./kinds.ts";
import { rangeIndices, rangeOf } from "./ranges.ts";
import { Section } from "./section.ts";
import { branches, type SectionShape, type Shape } from "./shape.ts";
import { missingFrom } from "./structure.ts";

/** A block and the layers that it is for, ascending. */
export interface LayerBlock {
  readonly section: Section;
  readonly layers: readonly number[];
}

/** The distinct blocks under `name`; layers that no entry is for, or that lack a key, have been told of. */
export function layerBlocks(model: Section, name: string, shape: Shape, numLayers: number): LayerBlock[] {
  const everyLayer = Array.from({ length: numLayers }, (_, i) => i);
  const node = model.node(name);
  if (node?.kind !== "list") return [{ section: model.section(name), layers: everyLayer }];
  const blockShape = branches(shape).find((branch) => branch.kind === "section");
  if (blockShape?.kind !== "section") return [];
  return new BlockMerger(model, name, node, blockShape).blocks(everyLayer);
}

class BlockMerger {
  readonly #model: Section;
  readonly #name: string;
  readonly #list: YamlList;
  readonly #shape: SectionShape;

  constructor(model: Section, name: string, list: YamlList, shape: SectionShape) {
    this.#model = model;
    this.#name = name;
    this.#list = list;
    this.#shape = shape;
  }

  blocks(everyLayer: readonly number[]): LayerBlock[] {
    const entries = this.#list.items.flatMap((item) => {
      if (item.kind !== "map") return [];
      return [{ item, layers: new Set(this.#layersOf(item, everyLayer)) }];
    });
    /** Layers by the entries that they are made of. */
    const groups = new Map<string, number[]>();
    for (const layer of everyLayer) {
      const key = entries.map(({ layers }) => (layers.has(layer) ? "1" : "0")).join("");
      groups.set(key, [...(groups.get(key) ?? []), layer]);
    }
    return [...groups].flatMap(([key, layers]) => {
      const parts = entries.filter((_, i) => key[i] === "1").map(({ item }) => item);
      return this.#merged(parts, layers);
    });
  }

  #layersOf(item: YamlMap, everyLayer: readonly number[]): readonly number[] {
    const { diagnostics, faulty } = this.#model.reading;
    const value = item.entries.get("layers")?.value;
    if (value?.kind !== "scalar" || faulty.has(value)) return everyLayer;
    const range = parseRange(value.text, diagnostics);
    return range === undefined ? everyLayer : rangeIndices(range, everyLayer.length, value.text, diagnostics);
  }

  #merged(parts: readonly YamlMap[], layers: readonly number[]): LayerBlock[] {
    const { reading } = this.#model;
    const path = this.#model.pathOf(this.#name);
    const { place } = this.#list;
    if (parts.length === 0) {
      reading.diagnostics.add(say.uncoveredLayers(path, rangeOf(layers), place));
      return [];
    }
    const node = parts.reduce((earlier, later) => this.#mergeBlocks(earlier, later));
    const kind = kindOf(node, this.#shape);
    if (kind !== undefined) refuseOtherKinds(node, this.#shape, kind, path, reading);
    const missing = missingFrom(node, this.#shape, kind).map((key) => quoted(key.name));
    if (missing.length > 0) {
      reading.diagnostics.add(say.mergedMissing(path, both(missing), rangeOf(layers), place));
      return [];
    }
    return [{ section: new Section(reading, node, this.#shape, { path, place, outer: this.#model }), layers }];
  }

  /** An entry of another kind replaces the block: of what was there it keeps the keys that its own kind has. */
  #mergeBlocks(earlier: YamlMap, later: YamlMap): YamlMap {
    const [before, after] = [earlier, later].map((node) => kindOf(node, this.#shape));
    const isReplaced = before !== undefined && after !== undefined && before !== after;
    return mergeMaps(isReplaced ? keysOfKind(earlier, this.#shape, after) : earlier, later);
  }
}

/** Keys of the later map win; maps below both are merged as well. */
function mergeMaps(earlier: YamlMap, later: YamlMap): YamlMap {
  const entries = new Map<string, YamlEntry>(earlier.entries);
  for (const [name, { key, value }] of later.entries) {
    const before = earlier.entries.get(name)?.value;
    entries.set(name, { key, value: before === undefined ? value : mergeNodes(before, value) });
  }
  return { kind: "map", entries, place: later.place };
}

function mergeNodes(earlier: YamlNode, later: YamlNode): YamlNode {
  return earlier.kind === "map" && later.kind === "map" ? mergeMaps(earlier, later) : later;
}
