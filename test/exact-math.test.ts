import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { cos, exp, log, pow, sin } from "../runtime/exact-math.ts";

// The reference is fixed-point arithmetic on BigInt with 320 fraction bits, from series that share nothing with the
// code under test. Arguments and results that are f64 are converted exactly.

const BITS = 320n;
const ONE = 1n << BITS;
const times = (a: bigint, b: bigint): bigint => (a * b) >> BITS;

/** The exact value of an f64 in fixed point (what lies below 2^-320 is cut off). */
function fixed(x: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, x);
  const bits = view.getBigUint64(0);
  const exponent = Number((bits >> 52n) & 0x7ffn);
  const fraction = (bits & 0xfffffffffffffn) | (exponent === 0 ? 0n : 1n << 52n);
  const shift = BITS - 1074n + BigInt(Math.max(exponent, 1) - 1);
  const magnitude = shift >= 0n ? fraction << shift : fraction >> -shift;
  return bits >> 63n === 1n ? -magnitude : magnitude;
}

/** e^x by halving the argument 2^16 times over and squaring back. */
function bigExp(x: bigint): bigint {
  const r = x >> 16n;
  let term = ONE;
  let sum = ONE;
  for (let n = 1n; term !== 0n && n < 200n; n++) {
    term = times(term, r) / n;
    sum += term;
  }
  for (let i = 0; i < 16; i++) sum = times(sum, sum);
  return sum;
}

/** atan(1/n) for pi, by Gregory's series. */
function arctanInverse(n: bigint): bigint {
  let power = ONE / n;
  let sum = power;
  for (let k = 1n; power !== 0n; k++) {
    power /= n * n;
    sum += (k % 2n === 0n ? power : -power) / (2n * k + 1n);
  }
  return sum;
}
const PI = 4n * (4n * arctanInverse(5n) - arctanInverse(239n));

/** ln(y) by Newton's iteration on e^x = y from a start of 50 good bits. */
function bigLog(y: bigint, start: number): bigint {
  let x = fixed(start);
  for (let i = 0; i < 4; i++) x += (y << BITS) / bigExp(x) - ONE;
  return x;
}

/** sin or cos of x by the Taylor series of the reduced argument. */
function bigTrigonometric(x: bigint, isSine: boolean): bigint {
  let r = x % (2n * PI);
  if (r > PI) r -= 2n * PI;
  if (r < -PI) r += 2n * PI;
  const square = -times(r, r);
  let term = isSine ? r : ONE;
  let sum = term;
  for (let n = isSine ? 1n : 0n; term !== 0n && n < 200n; n += 2n) {
    term = times(term, square) / ((n + 1n) * (n + 2n));
    sum += term;
  }
  return sum;
}

/** The distance of `got` from the reference, in units of the last place of `got`'s binade. */
function ulps(got: number, reference: bigint): number {
  const magnitude = Math.abs(got);
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, magnitude);
  const ulp = 2 ** (Math.max(Number(view.getBigUint64(0) >> 52n), 1) - 1075);
  const difference = fixed(got) - reference;
  return Number(((difference < 0n ? -difference : difference) << 64n) / fixed(ulp)) / 2 ** 64;
}

/** A plain generator for arguments: the sequence is Knuth's MMIX generator, not the code under test. */
function argumentsIn(low: number, high: number, count: number, seed: bigint): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return low + (high - low) * (Number(state >> 11n) / 2 ** 53);
  });
}

/** The worst error over the arguments. */
function worst(values: readonly number[], f: (x: number) => number, reference: (x: number) => bigint): number {
  return values.reduce((most, x) => Math.max(most, ulps(f(x), reference(x))), 0);
}

describe("exp", () => {
  it("is within 1 ulp from -140 to 140", () => {
    const values = [
      ...argumentsIn(-140, 140, 2000, 1n),
      ...argumentsIn(-1, 1, 2000, 2n),
      ...argumentsIn(-1e-9, 1e-9, 200, 3n),
    ];
    expect(worst(values, exp, (x) => bigExp(fixed(x)))).toBeLessThan(1);
  });

  it("is within 1 ulp around every multiple of half ln 2, where the reduction changes its exponent", () => {
    const values = Array.from({ length: 200 }, (_, i) => (i - 100) * 0.34657359027997264).flatMap((x) => [
      x,
      x * (1 + 2 ** -52),
      x * (1 - 2 ** -52),
    ]);
    expect(worst(values, exp, (x) => bigExp(fixed(x)))).toBeLessThan(1);
  });

  it("reaches both ends of f64", () => {
    expect(exp(709.782712893384)).toBe(1.7976931348622732e308);
    expect(exp(709.7827128933841)).toBe(Number.POSITIVE_INFINITY);
    expect(exp(-745.13321910194)).toBe(5e-324);
    expect(exp(-745.1332191019412)).toBe(0);
    expect([exp(0), exp(-0), exp(Number.POSITIVE_INFINITY), exp(Number.NEGATIVE_INFINITY)]).toEqual([
      1,
      1,
      Number.POSITIVE_INFINITY,
      0,
    ]);
    expect(exp(Number.NaN)).toBeNaN();
  });
});

describe("log", () => {
  it("is within 1 ulp over many binades and near 1", () => {
    const values = [...argumentsIn(0.5, 2, 1500, 4n), ...argumentsIn(1 - 1e-6, 1 + 1e-6, 500, 5n)];
    for (const x of argumentsIn(0.5, 1, 500, 6n)) values.push(x * 2 ** (Math.floor(x * 400) - 200));
    expect(worst(values, log, (x) => bigLog(fixed(x), Math.log(x)))).toBeLessThan(1);
  });

  it("has its named values", () => {
    expect(log(1)).toBe(0);
    expect(log(0)).toBe(Number.NEGATIVE_INFINITY);
    expect(log(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
    expect(log(-1)).toBeNaN();
    expect(log(Number.NaN)).toBeNaN();
    // ln(2^-1074) = -744.4400719213812, from ln 2 = 0.693147180559945309417.
    expect(log(5e-324)).toBe(-744.4400719213812);
  });
});

describe("sin and cos", () => {
  const near = Array.from({ length: 400 }, (_, i) => ((i + 1) * (i + 1) * 390 + i) * 1.5707963267948966);
  const values = [
    ...argumentsIn(-7, 7, 1500, 7n),
    ...argumentsIn(0, 131072, 500, 8n),
    ...argumentsIn(-1e8, 1e8, 500, 9n),
    ...near.filter((x) => x <= 1e8),
  ];

  it("sin is within 1 ulp up to 10^8, also beside the multiples of pi/2", () => {
    expect(worst(values, sin, (x) => bigTrigonometric(fixed(x), true))).toBeLessThan(1);
  });

  it("cos is within 1 ulp up to 10^8, also beside the multiples of pi/2", () => {
    expect(worst(values, cos, (x) => bigTrigonometric(fixed(x), false))).toBeLessThan(1);
  });

  it("is exact where the answer is", () => {
    expect([sin(0), cos(0)]).toEqual([0, 1]);
    expect([sin(1e-20), sin(2 ** -1060)]).toEqual([1e-20, 2 ** -1060]);
  });
});

describe("pow", () => {
  const reference = (base: number, exponent: number): bigint =>
    bigExp(times(fixed(exponent), bigLog(fixed(base), Math.log(base))));

  it("is within 1 ulp for the frequencies of rotary embeddings", () => {
    for (const theta of [10000, 150000, 500000, 1e6]) {
      for (let i = 0; i < 64; i++) expect(ulps(pow(theta, -i / 64), reference(theta, -i / 64))).toBeLessThan(1);
    }
  });

  it("is within 1 ulp for the bias corrections of Adam", () => {
    for (const beta of [0.9, 0.95, 0.999]) {
      for (let step = 1; step <= 1000; step += 13) expect(ulps(pow(beta, step), reference(beta, step))).toBeLessThan(1);
    }
  });

  it("is within 1 ulp for random bases and exponents", () => {
    const bases = argumentsIn(1e-3, 50, 800, 10n);
    const exponents = argumentsIn(-25, 25, 800, 11n);
    bases.forEach((base, i) => {
      expect(ulps(pow(base, exponents[i]), reference(base, exponents[i]))).toBeLessThan(1);
    });
  });

  it("is exact for powers of two and ends at both ends of f64", () => {
    expect([pow(2, 10), pow(2, -1074), pow(4, 0.5), pow(7, 0), pow(7, 1), pow(10, 15)]).toEqual([
      1024, 5e-324, 2, 1, 7, 1e15,
    ]);
    expect([pow(10, 400), pow(10, -400), pow(0.5, 1e9)]).toEqual([Number.POSITIVE_INFINITY, 0, 0]);
  });
});

it("gives the bits that every engine must give", () => {
  const values = argumentsIn(-30, 30, 20000, 12n);
  const results = new Float64Array(
    values.flatMap((x) => [exp(x), log(Math.abs(x)), sin(x), cos(x), pow(Math.abs(x), x)]),
  );
  expect(createHash("sha256").update(results).digest("hex")).toBe(
    "062e927cbe4d41dace3ea5d40a7ef521a4dea84c06eb1ecc935dbe5c41531e1e",
  );
});
