// Where each key of a document stands, by its dotted path.

import type { Place } from "../source/text.ts";
import type { YamlMap, YamlNode } from "../source/yaml-node.ts";

/**
 * The place of every value: `model.attention.heads`, `precision[0]`.
 *
 * What stands in an entry of a list is found without the index as well (`model.ffn.activation`); the last entry wins.
 */
export function keyPlaces(root: YamlMap): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>();
  const visit = (node: YamlNode, path: string): void => {
    if (path !== "") places.set(path, node.place);
    if (node.kind === "map") {
      for (const [name, { value }] of node.entries) visit(value, path === "" ? name : `${path}.${name}`);
    } else if (node.kind === "list") {
      node.items.forEach((item, i) => {
        if (item.kind === "map") for (const [name, { value }] of item.entries) visit(value, `${path}.${name}`);
        visit(item, `${path}[${i}]`);
      });
    }
  };
  visit(root, "");
  return places;
}
