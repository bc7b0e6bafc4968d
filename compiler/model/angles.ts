// Rotary positions: the rows of cosines and sines that tokens' positions ask for, and what scores are multiplied by.

import type { ConstantRule, Value } from "../graph/graph.ts";
import { dim, tensor } from "../graph/types.ts";
import { gather } from "../ops/gather.ts";
import { type RopeAttributes, rope } from "../ops/rope.ts";
import type { RopeSpec } from "../spec/spec.ts";
import { yarnScoreScale, yarnTableScale } from "../spec/yarn.ts";
import { type ModelContext, place } from "./context.ts";

/** What turns heads: rows of the two tables for the tokens' positions; layers with the same rope share them. */
export function emitAngles(
  { model, emitter }: ModelContext,
  spec: RopeSpec,
  positions: Value,
): readonly [Value, Value] {
  const type = tensor("f32", dim("context", model.context), dim("half", spec.dim / 2));
  const rows = (["rope_cos", "rope_sin"] as const).map((kind) => {
    const rule = ruleOf(kind, spec);
    const table = emitter.builder.give(`${kind}.${ruleName(rule)}`, type, "constant", rule);
    const known = emitter.builder.nodes.find((node) => node.inputs[0] === table && node.inputs[1] === positions);
    if (known !== undefined) return known.outputs[0];
    return emitter.emit(gather, [table, positions], null, place("rope", "model.attention.rope"))[0];
  });
  return [rows[0], rows[1]];
}

/** Turns the channels of every head that the spec says, as they stand in `value`. */
export function emitTurn(
  { emitter }: ModelContext,
  path: string,
  value: Value,
  angles: readonly [Value, Value],
  attributes: RopeAttributes,
): Value {
  return emitter.emit(rope, [value, ...angles], attributes, place(path, "model.attention.rope"))[0];
}

/** What multiplies the product of a query and a key of so many channels. */
export function scoreScale({ yarn }: RopeSpec, channels: number): number {
  return (yarn === undefined ? 1 : yarnScoreScale(yarn)) / Math.sqrt(channels);
}

function ruleOf(kind: ConstantRule["kind"], { theta, dim: rotaryDim, llama3, yarn }: RopeSpec): ConstantRule {
  if (yarn === undefined) return { kind, theta, rotaryDim, llama3, yarn };
  const { factor, original, betaFast, betaSlow, truncate } = yarn;
  const tableScale = yarnTableScale(yarn);
  return { kind, theta, rotaryDim, llama3, yarn: { factor, original, betaFast, betaSlow, truncate, tableScale } };
}

/** Equal rules have equal names. */
function ruleName({ theta, rotaryDim, llama3, yarn }: ConstantRule): string {
  const scaling = Object.entries({ llama3, yarn }).map(([name, numbers]) =>
    numbers === undefined ? "" : `_${name}_${Object.values(numbers).join("_")}`,
  );
  return `theta${theta}_dim${rotaryDim}${scaling.join("")}`;
}
