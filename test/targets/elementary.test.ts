// Elementary functions of every target against f64 over all magnitudes: the errors that the tolerance function counts on.

import { expect, test } from "vitest";
import { erf } from "../../compiler/formula/evaluate.ts";
import { ELEMENT } from "../../compiler/formula/terms.ts";
import { GraphBuilder } from "../../compiler/graph/graph.ts";
import { dim, tensor } from "../../compiler/graph/types.ts";
import { wasm } from "../../compiler/kernels/wasm/index.ts";
import { soft } from "../../compiler/kernels/wgsl/index.ts";
import { activation } from "../../compiler/ops/activation.ts";
import { emitterFor } from "../../compiler/ops/index.ts";
import { formulaFrom } from "../ops/case-parts.ts";
import { openGraphs } from "../ops/on-device.ts";

/** Every 2^-k and numbers around zero, plus a dense sweep of where each function bends. */
function arguments_(): Float32Array {
  const values: number[] = [
    0,
    -0,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    Number.NaN,
    88.72283,
    88.72284,
    -87.33654,
    -87.33655,
    3.4e38,
    -3.4e38,
  ];
  for (let e = -126; e < 127; e++) for (const m of [1, 1.1, 1.37, 1.5, 1.93]) values.push(m * 2 ** e, -m * 2 ** e);
  for (let x = -110; x < 110; x += 0.003717) values.push(x);
  for (let x = -6; x < 6; x += 0.000317) values.push(x);
  while (values.length % 64 !== 0) values.push(1);
  return Float32Array.from(values);
}

const smallest = 2 ** -126;

/** Error in units of roundoff of the result; results below the smallest normal number may be flushed to it or to 0. */
function units(got: number, exact: number): number {
  if (Number.isNaN(exact)) return Number.isNaN(got) ? 0 : Number.POSITIVE_INFINITY;
  const rounded = Math.fround(exact);
  if (got === rounded) return 0;
  if (Math.abs(exact) < smallest) return Math.abs(got) <= smallest ? 0 : Number.POSITIVE_INFINITY;
  if (!Number.isFinite(rounded) || !Number.isFinite(got)) return Number.POSITIVE_INFINITY;
  return Math.abs(got - exact) / (Math.abs(exact) * 2 ** -24);
}

/** The most units that bounds.ts allows each function (functionUlps). */
const functions: readonly (readonly [string, (x: number) => number, number])[] = [
  ["exp(x)", Math.exp, 4],
  ["log(x)", Math.log, 4],
  ["tanh(x)", Math.tanh, 6],
  ["sigmoid(x)", (x) => 1 / (1 + Math.exp(-x)), 6],
  ["softplus(x)", (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), 8],
  ["erf(x)", erf, 8],
  ["sqrt(x)", Math.sqrt, 1],
  ["abs(x)", Math.abs, 0],
  ["floor(x)", Math.floor, 0],
  ["sign(x)", Math.sign, 0],
];

const cases = ([wasm, soft] as const).flatMap((target) => functions.map((f) => [target.id, ...f, target] as const));

test.each(cases)("on %s %s stays within its documented error", async (_, text, exact, allowed, target) => {
  const x = arguments_();
  const [rows, width] = [dim("rows", x.length / 64), dim("width", 64)];
  const builder = new GraphBuilder("elementary");
  const input = builder.give("x", tensor("f32", rows, width), "input");
  const place = { path: "case", direction: "fprop", classes: [], key: "" } as const;
  const formula = formulaFrom(text, { x: [ELEMENT] });
  const [y] = emitterFor(builder).emit(activation, [input], { formula }, place);
  const device = await openGraphs([builder.build(new Map([["y", y]]))], 1, { target });
  device.write("x", x);
  await device.run("elementary");
  const got = await device.read("case.y", { program: "elementary" });
  await device.close();
  let worst = { units: 0, x: 0, got: 0 };
  got.forEach((value, i) => {
    const error = units(value, exact(x[i]));
    if (error > worst.units) worst = { units: error, x: x[i], got: value };
  });
  expect(worst.units, `at ${worst.x}: ${worst.got}, exactly ${exact(worst.x)}`).toBeLessThanOrEqual(allowed);
});
