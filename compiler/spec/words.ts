// How shapes and YAML values are called in messages.

import { either, quoted } from "../source/messages/words.ts";
import type { YamlNode } from "../source/yaml-node.ts";
import { branches, type ExpressionKind, type Shape } from "./shape.ts";

/** Such as `a whole number or a size such as 4 * width`. */
export function shapeWords(shape: Shape): string {
  return either(branches(shape).map(branchWords));
}

function branchWords(shape: Exclude<Shape, { kind: "either" }>): string {
  switch (shape.kind) {
    case "version":
      return `the number ${shape.version}`;
    case "flag":
      return "`true` or `false`";
    case "choice":
      return either([...(shape.isFlagToo ? ["true", "false"] : []), ...shape.words].map((word) => quoted(word)));
    case "text":
      return `text such as ${quoted(shape.example)}`;
    case "list":
      return `a list (each ${shapeWords(shape.of)})`;
    case "section":
      return "a map of keys";
    case "map":
      return shape.keys === "name" ? "a map of names" : "a map of selectors";
    case "whole":
      return "a whole number or a size such as `4 * width`";
    case "real":
      return "a number";
    default: {
      const [words, example] = expressions[shape.kind];
      return `${words} such as ${quoted(shape.example ?? example)}`;
    }
  }
}

const expressions: Readonly<Record<ExpressionKind, readonly [words: string, example: string]>> = {
  formula: ["a formula", "silu(gate) * up"],
  distribution: ["a distribution", "normal(0.02)"],
  precision: ["a signature", "f32 * f32 -> f32 -> f32"],
  selector: ["a selector", "attention.{q,k}"],
  range: ["a range", "0..2"],
  tile: ["a tile", "64x64x16"],
  schedule: ["a schedule", "warmup(20) to 1e-3 then cosine to 1e-4"],
};

/** What may stand where text of this shape does; undefined if it is not written as text. */
export function exampleOf(shape: Shape): string | undefined {
  if (!("example" in shape) && !(shape.kind in expressions)) return undefined;
  return "example" in shape ? shape.example : expressions[shape.kind as ExpressionKind][1];
}

/** What stands in the file: `a list`, `the text yes`. */
export function nodeWords(node: YamlNode): string {
  if (node.kind === "map") return "a map";
  if (node.kind === "list") return "a list";
  if (node.kind === "fault" || node.value === null) return "nothing";
  if (typeof node.value === "string") return `the text ${quoted(node.value)}`;
  return quoted(node.text.text);
}
