// Messages that once misled: what they claim, and the way out that they offer.

import { expect, test } from "vitest";
import { faultLine } from "./read-text.ts";
import { said, smallSpec, smallSpecWith } from "./spec-text.ts";

test.each([
  [
    "lr: 1e-3",
    "lr: 1e-3\n  init: xavier",
    "`xavier` is not a distribution",
    "write `normal`, `uniform`, `zeros` or `ones`",
  ],
  ["width: 48", "width: 8 8", "`8` does not belong here: expected an operator or the end", undefined],
  ["width: 48", 'width: "8"', "model.width is a number in quotes", "write `8` without quotes"],
  ["width: 48", "width: 2^1000000", "the exponent 1000000 is beyond 4096", undefined],
  [
    "width: 48",
    "width: 2^0.3",
    "0.3 is not an exponent of a size",
    "exponents are whole numbers or halves of them, as in `width^-0.5`",
  ],
  ["dense,", "dense, activation: relu(x),", "no function is called relu", "write `max(x, 0)`"],
  ["dense,", "dense, activation: swish(gate) * up,", "no function is called swish", "write `silu(x)`"],
])("%s replaced by %s", (part, by, claim, help) => {
  const [first, ...others] = said(smallSpecWith([part, by]));
  expect([first.claim, first.help, others]).toEqual([claim, help, []]);
});

test("a default that does not divide points at both numbers that it is made of", () => {
  const [first, ...others] = said(smallSpecWith(["heads: 4", "heads: 5"]));
  expect(others).toEqual([]);
  expect(faultLine(first)).toBe("error 8:34 key/not-whole and 6:10");
  expect(first.claim).toBe("model.attention.head_dim is a whole number, and its default is width / heads = 9.6");
  expect([first.label, first.related?.[0].label]).toEqual(["heads = 5", "width = 48"]);
});

test.each([
  ["recompute: ['layers[9]']", "layers = 4, and indices go from 0 to 3", "write `layers[0..3]` or a part of it"],
  [
    "precision: [f32, { 'layers[4..].attention': f32 }]",
    "layers = 4, and indices go from 0 to 3",
    "write `layers[0..3]` or a part of it",
  ],
])("%s tells which layers there are", (line, details, help) => {
  const [first, ...others] = said(`${smallSpec}${line}\n`);
  expect([first.code, first.details, first.help, others]).toEqual(["selector/matches-nothing", [details], help, []]);
});

test("defaults of init are not told of: nobody wrote them", () => {
  const all = "init: { norm: ones, linear: normal(0.1), embedding: normal(1) }";
  expect(said(smallSpecWith(["lr: 1e-3", `lr: 1e-3\n  ${all}`]))).toEqual([]);
});

test("a rule of init that later ones hide is told of all the same", () => {
  const hidden = "init: { linear: normal(0.1), 'linear, norm': zeros }";
  expect(said(smallSpecWith(["lr: 1e-3", `lr: 1e-3\n  ${hidden}`])).map(({ code }) => code)).toEqual([
    "selector/shadowed",
  ]);
});

test.each([
  ["optimizer: { weight_decay: { core: 0.1 } }", "`core` in train.optimizer.weight_decay.core"],
  ["init: { loss: ones }", "`loss` in train.init.loss"],
  ["init: { activation: ones }", "`activation` in train.init.activation"],
])("%s matches nothing that has weights", (line, what) => {
  const [first] = said(smallSpecWith(["lr: 1e-3", `lr: 1e-3\n  ${line}`]));
  expect(first.severity).toBe("error");
  expect(first.claim).toBe(`${what} matches no operation with weights`);
});

test("tiles are of products", () => {
  const [first] = said(`${smallSpec}tiles: { wasm: { norm: 64x64x16 } }\n`);
  expect(first.claim).toBe("`norm` in tiles.wasm.norm matches no product");
});
