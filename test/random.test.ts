import { expect, it } from "vitest";
import { fillNormal, fillUniform, permute, philox4x32, type RandomKey, streams, uniform } from "../runtime/random.ts";

const key: RandomKey = { seed: 42, stream: streams.shuffle, step: 3 };

// Random123's tests/kat_vectors, lines "philox4x32 10".
it.each([
  ["00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"],
  ["ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"],
  ["243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"],
])("Philox4x32-10 gives the published words for counter %s and key %s", (counter, words, expected) => {
  const parse = (text: string): number[] => text.split(" ").map((word) => Number.parseInt(word, 16));
  const out = new Uint32Array(4);
  philox4x32(parse(counter), parse(words), out);
  expect([...out]).toEqual(parse(expected));
});

it("seed, stream, step and element each change the draw, the high words of seed and element too", () => {
  const draws = [
    uniform(key, 7),
    uniform({ ...key, seed: 43 }, 7),
    uniform({ ...key, seed: 42 + 2 ** 32 }, 7),
    uniform({ ...key, stream: streams.sampling }, 7),
    uniform({ ...key, step: 4 }, 7),
    uniform(key, 8),
    uniform(key, 9),
    uniform(key, 7 + 2 ** 34),
  ];
  expect(new Set(draws).size).toBe(draws.length);
});

it("an element drawn alone equals the same element of a filled array, for odd lengths too", () => {
  const out = new Float64Array(1001);
  fillUniform(key, 0, 1, out);
  expect([...out.keys()].filter((i) => out[i] !== uniform(key, i))).toEqual([]);
  const long = new Float64Array(1002);
  const short = new Float64Array(1001);
  fillNormal(key, 2, long);
  fillNormal(key, 2, short);
  expect([...short]).toEqual([...long.subarray(0, 1001)]);
});

it("uniform draws lie in [0, 1) and fill its hundredths evenly", () => {
  const counts = new Float64Array(100);
  for (let i = 0; i < 100_000; i++) counts[Math.floor(uniform(key, i) * 100)]++;
  const chiSquare = counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
  // 99 degrees of freedom: the 0.01 % and 99.99 % points.
  expect(chiSquare).toBeGreaterThan(54);
  expect(chiSquare).toBeLessThan(160);
});

it("normal draws have the normal distribution's moments and tails", () => {
  const out = new Float64Array(200_000);
  fillNormal(key, 1, out);
  const moment = (power: number): number => out.reduce((sum, x) => sum + x ** power, 0) / out.length;
  // Five standard errors of each moment: 1, 2, 15 and 96 over the number of draws, under a root.
  expect(Math.abs(moment(1))).toBeLessThan(5 * Math.sqrt(1 / out.length));
  expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / out.length));
  expect(Math.abs(moment(3))).toBeLessThan(5 * Math.sqrt(15 / out.length));
  expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / out.length));
  // P(|x| > 3) = 0.0026998.
  const beyond = out.filter((x) => Math.abs(x) > 3).length / out.length;
  expect(Math.abs(beyond - 0.0026998)).toBeLessThan(5 * Math.sqrt(0.0027 / out.length));
});

it("neighbouring normal draws are uncorrelated, within a block and across", () => {
  const out = new Float64Array(100_000);
  fillNormal(key, 1, out);
  for (const lag of [1, 2, 3]) {
    let sum = 0;
    for (let i = lag; i < out.length; i++) sum += out[i] * out[i - lag];
    expect(Math.abs(sum / out.length)).toBeLessThan(5 / Math.sqrt(out.length));
  }
});

it("f32 draws are the f64 draws rounded", () => {
  const single = new Float32Array(999);
  const double = new Float64Array(999);
  fillNormal(key, 0.02, single);
  fillNormal(key, 0.02, double);
  expect([...single]).toEqual([...double].map(Math.fround));
});

it.each([1, 2, 3, 5, 16, 17, 1000, 4096, 4097])("permute visits each of %i places once", (count) => {
  const seen = new Set(Array.from({ length: count }, (_, i) => permute(key, count, i)));
  expect(seen.size).toBe(count);
  expect(Math.max(...seen)).toBe(count - 1);
});

it("permute sends every index of a small count to every place about equally often", () => {
  for (const count of [2, 3, 7]) {
    const counts = new Float64Array(count * count);
    const draws = 4000;
    for (let step = 0; step < draws; step++) {
      for (let i = 0; i < count; i++) counts[i * count + permute({ ...key, step }, count, i)]++;
    }
    const expected = draws / count;
    const most = Math.max(...counts.map((seen) => Math.abs(seen - expected)));
    expect(most).toBeLessThan(5 * Math.sqrt(expected));
  }
});

it("permute leaves few neighbours together", () => {
  const count = 10_000;
  let together = 0;
  for (let i = 1; i < count; i++) {
    if (Math.abs(permute(key, count, i) - permute(key, count, i - 1)) === 1) together++;
  }
  // A random permutation has 2 such pairs on average; 12 is beyond the 99.9999 % point.
  expect(together).toBeLessThan(12);
});

it("permute reaches 2^32 places", () => {
  const places = [0, 1, 2 ** 31, 2 ** 32 - 1].map((index) => permute(key, 2 ** 32, index));
  expect(new Set(places).size).toBe(4);
  expect(places.every((place) => Number.isInteger(place) && place >= 0 && place < 2 ** 32)).toBe(true);
});
