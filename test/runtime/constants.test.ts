import { expect, it } from "vitest";
import { GraphBuilder } from "../../compiler/graph/graph.ts";
import { dim, tensor } from "../../compiler/graph/types.ts";
import { gather } from "../../compiler/ops/gather.ts";
import { emitterFor } from "../../compiler/ops/index.ts";
import { Oracle } from "../../compiler/oracle.ts";
import { ropeTable } from "../../runtime/constants.ts";
import type { RopeRule } from "../../runtime/contract.ts";

const dims = (positions: number, half: number) => ({
  dims: [
    { name: "context", size: positions },
    { name: "half", size: half },
  ],
});

// Angles in 60 digits with mpmath 1.3: cos and sin of position * 10000^(-2 i / 8).
it("a table holds cosines and sines of position times frequency", () => {
  const rule = { kind: "rope_cos", theta: 10000, rotaryDim: 8 } as const;
  const [cosines, sines] = [ropeTable(rule, dims(300, 4)), ropeTable({ ...rule, kind: "rope_sin" }, dims(300, 4))];
  const at = (position: number, pair: number) => position * 4 + pair;
  expect(cosines[at(0, 2)]).toBe(1);
  expect(sines[at(0, 2)]).toBe(0);
  expect(cosines[at(1, 0)]).toBe(Math.fround(0.5403023058681398));
  expect(sines[at(1, 0)]).toBe(Math.fround(0.8414709848078965));
  expect(cosines[at(7, 1)]).toBe(Math.fround(0.7648421872844884));
  expect(sines[at(299, 1)]).toBe(Math.fround(-0.9984950306638146));
  expect(cosines[at(299, 3)]).toBe(Math.fround(0.9556315316148092));
});

it("Llama 3.1 slows long waves, keeps short ones and blends between", () => {
  const llama3 = { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, original: 32 };
  const rule: RopeRule = { kind: "rope_sin", theta: 10000, rotaryDim: 16, llama3 };
  const plain: RopeRule = { kind: "rope_sin", theta: 10000, rotaryDim: 16 };
  const [scaled, kept] = [ropeTable(rule, dims(2, 8)), ropeTable(plain, dims(2, 8))];
  const frequency = (table: Float32Array, pair: number) => Math.asin(table[8 + pair]);
  // Turns in 32 positions: 5.09, 1.61, 0.51, …: the first is short, the second blends, the rest are long.
  expect(frequency(scaled, 0)).toBe(frequency(kept, 0));
  const turns = (32 * 10000 ** (-2 / 16)) / (2 * Math.PI);
  const blend = (turns - 1) / 3;
  expect(frequency(scaled, 1)).toBeCloseTo(frequency(kept, 1) * (blend + (1 - blend) / 8), 6);
  for (const pair of [2, 5, 7]) expect(frequency(scaled, pair)).toBeCloseTo(frequency(kept, pair) / 8, 8);
});

/** Frequencies and table scales of transformers 5.18, `_compute_yarn_parameters`, in f32. */
const yarnTables = [
  {
    title: "DeepSeek-V3",
    theta: 10000,
    rotaryDim: 64,
    yarn: { factor: 40, original: 4096, betaFast: 32, betaSlow: 1, truncate: true, tableScale: 1 },
    // The ramp goes from pair 10 to pair 23.
    frequencies: {
      0: 1,
      10: 0.05623412877321243,
      11: 0.039006926119327545,
      16: 0.005500000435858965,
      22: 0.00017782794020604342,
      23: 3.333803397254087e-5,
      31: 3.3338035336782923e-6,
    },
  },
  {
    title: "gpt-oss",
    theta: 150000,
    rotaryDim: 64,
    yarn: { factor: 32, original: 4096, betaFast: 32, betaSlow: 1, truncate: false, tableScale: 1.3465735902799727 },
    frequencies: {
      0: 1,
      8: 0.05081327259540558,
      9: 0.031705696135759354,
      12: 0.006794959306716919,
      17: 0.00012931869423482567,
      18: 3.830881178146228e-5,
      31: 3.023511396804679e-7,
    },
  },
  {
    title: "half of a head of 16",
    theta: 500,
    rotaryDim: 8,
    yarn: { factor: 4, original: 12, betaFast: 2, betaSlow: 0.5, truncate: true, tableScale: 1.7 },
    frequencies: { 0: 1, 1: 0.0528685599565506, 2: 0.011180340312421322, 3: 0.0023643539752811193 },
  },
] as const;

it.each(yarnTables)("YaRN of $title turns as transformers does, on the device and in the oracle", (table) => {
  const { theta, rotaryDim, yarn, frequencies } = table;
  const rule = { kind: "rope_sin", theta, rotaryDim, llama3: undefined, yarn } as const;
  const half = rotaryDim / 2;
  const onDevice = ropeTable({ kind: "rope_sin", theta, rotaryDim, yarn }, dims(3, half));
  const builder = new GraphBuilder("table");
  const sines = builder.give("sines", tensor("f32", dim("context", 3), dim("half", half)), "constant", rule);
  const index = builder.give("index", tensor("i32", dim("rows", 3)), "input");
  const [rows] = emitterFor(builder).emit(gather, [sines, index], null, {
    path: "rope",
    direction: "fprop",
    classes: [],
    key: "rope",
  });
  const oracle = new Oracle({ rounds: false });
  oracle.set("index", [0, 1, 2]);
  const exact = oracle.run(builder.build(new Map([["rows", rows]]))).get("rows") ?? new Float64Array();
  for (const [pair, frequency] of Object.entries(frequencies)) {
    const [at, expected] = [half + Number(pair), yarn.tableScale * Math.sin(frequency)];
    // The reference rounds some ten operations to 2^-24; the ramp's difference cancels at most a tenth.
    expect(Math.abs(exact[at] / expected - 1), `oracle, pair ${pair}`).toBeLessThan(1e-5);
    expect(Math.abs(onDevice[at] / expected - 1), `device, pair ${pair}`).toBeLessThan(1e-5);
  }
  // Written apart, both are the same numbers but for the last rounding.
  onDevice.forEach((value, i) => {
    expect(Math.abs(value - exact[i])).toBeLessThanOrEqual(2 ** -24 * Math.abs(exact[i]) + 1e-15);
  });
});
