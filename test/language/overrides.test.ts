// `--set key=value` and `--set list+=value` are read and validated like the file.

import { expect, test } from "vitest";
import { readSpecText, smallSpec, smallSpecWith, specFaults, specOf } from "./spec-text.ts";

test("a value replaces that of the file, and defaults follow it", () => {
  const spec = specOf(smallSpec, ["model.width=4 * 32", "model.layers=2", "model.layers=3"]);
  expect(spec.model.width).toBe(128);
  expect(spec.model.layers).toHaveLength(3);
  expect(spec.model.layers[0].attention).toMatchObject({ headDim: 32 });
});

test("sections that the file does not give are made", () => {
  const spec = specOf(smallSpec, ["train.optimizer.weight_decay.norm=0", "model.attention.rope.theta=5e5"]);
  expect(spec.train?.optimizer.weightDecay.map(({ key, value }) => [key, value])).toEqual([
    ["train.optimizer.weight_decay.norm", 0],
  ]);
  expect(spec.model.layers[0].attention.rope.theta).toBe(500_000);
});

test("`+=` appends to a list, to the default of one, and to a block that may be a list", () => {
  const spec = specOf(smallSpec, [
    "precision+=linear: f32 * f32 -> f32 -> f32",
    "recompute+=norm",
    "model.ffn+={ layers: 1, intermediate: 10 }",
  ]);
  expect(spec.precision.map(({ key }) => key)).toEqual(["precision[0]", "precision[1]"]);
  expect(spec.recompute).toHaveLength(1);
  expect(spec.model.layers.map(({ ffn }) => ffn.intermediate)).toEqual([96, 10, 96, 96]);
});

test("an entry of a list is named by its index", () => {
  const text = smallSpecWith(["ffn: {", "ffn: [{"], ["intermediate: 96 }", "intermediate: 96 }]"]);
  expect(specOf(text, ["model.ffn[0].intermediate=7"]).model.layers[3].ffn.intermediate).toBe(7);
});

test.each([
  ["", "1:1 set/malformed"],
  ["model.layers", "1:1 set/malformed"],
  ["=2", "1:1 set/malformed"],
  ["model..layers=2", "1:1 set/malformed"],
  ["model.layers=", "1:14 set/empty-value"],
  ["model.layers= ", "1:14 set/empty-value"],
  ["model.layers=-1", "1:14 key/out-of-range"],
  ["model.layers=4 *", "1:17 expression/unexpected"],
  ["model.layers=[1", "1:16 yaml/syntax"],
  ["model.layers=&a 1", "1:14 yaml/anchor"],
  ["model.attention.mask=!(k > q)", "1:22 yaml/tag"],
  ["model.layer=2", "1:7 key/unknown"],
  ["model.width.size=2", "1:13 set/not-a-map"],
  ["model.width[0]=2", "1:13 set/not-indexed"],
  ["model.width+=2", "1:7 set/not-a-list"],
  ["precision[3]=f32", "1:11 set/not-indexed"],
  ["__proto__.polluted=1", "1:1 key/unknown"],
  ["constructor.prototype.polluted=1", "1:1 key/unknown"],
])("--set %j is refused at its own text", (override, fault) => {
  const { diagnostics } = readSpecText(smallSpec, [override]);
  expect(specFaults(smallSpec, [override])).toEqual([`error ${fault}`]);
  expect(diagnostics[0].place?.source.name).toBe("--set");
  expect(diagnostics[0].place?.source.text).toBe(override);
  expect(Reflect.get({}, "polluted")).toBeUndefined();
});

test("an entry beyond the end of a list is refused with its length", () => {
  const text = `${smallSpec}precision: [f32]\n`;
  expect(readSpecText(text, ["precision[1]=f32"]).diagnostics[0].claim).toBe("`precision` has no entry 1: it has 1");
});

test("a list is not entered by a name", () => {
  const text = `${smallSpec}precision: [f32]\n`;
  expect(specFaults(text, ["precision.linear=f32"])).toEqual(["error 1:11 set/needs-index"]);
});

test("two places of a fault may be an option and the file", () => {
  const [diagnostic] = readSpecText(smallSpec, ["model.attention.kv_heads=3"]).diagnostics;
  expect(diagnostic.place?.source.name).toBe("--set");
  expect(diagnostic.related?.[0].place.source.name).toBe("test.yaml");
});
