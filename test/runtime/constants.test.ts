import { expect, it } from "vitest";
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
