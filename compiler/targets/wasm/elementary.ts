// Elementary functions on four floats at once, written in place: V8 does not inline calls between wasm functions.
// Polynomials are minimax fits made for this file; errors are in units of roundoff (2^-24) and tested.

import { get, type WatCode } from "./code.ts";

const add = (a: string, b: string): string => `(f32x4.add ${a} ${b})`;
const subtract = (a: string, b: string): string => `(f32x4.sub ${a} ${b})`;
const multiply = (a: string, b: string): string => `(f32x4.mul ${a} ${b})`;
const divide = (a: string, b: string): string => `(f32x4.div ${a} ${b})`;
const absolute = (a: string): string => `(f32x4.abs ${a})`;
const negate = (a: string): string => `(f32x4.neg ${a})`;
/** pmin and pmax are one instruction each on x86; f32x4.min and max are long sequences. */
const lesser = (a: string, b: string): string => `(f32x4.pmin ${a} ${b})`;
const greater = (a: string, b: string): string => `(f32x4.pmax ${a} ${b})`;
const choose = (mask: string, a: string, b: string): string => `(v128.bitselect ${a} ${b} ${mask})`;

export type Elementary = (code: WatCode, argument: string, result: string) => void;

/** Coefficients from the constant upwards: ((c_n x + …) x + c_1) x + c_0. */
function polynomial(code: WatCode, x: string, coefficients: readonly number[]): string {
  const [highest, ...rest] = [...coefficients].reverse();
  return rest.reduce((sum, c) => add(multiply(sum, x), code.float(c)), code.float(highest));
}

/** 2^n and 1 + r + r² p(r) of e^x with x = n ln 2 + r. */
function splitExponential(code: WatCode, x: string): { readonly mantissa: string; readonly n: string } {
  const [n, r] = ["exp.n", "exp.r"].map((name) => code.shared(name, "v128"));
  code.comment("e^x = 2^n e^r with |r| <= ln 2 / 2; adding 1.5 * 2^23 rounds n into the low bits");
  const magic = code.float(12582912);
  code.set(r, x);
  code.set(n, add(multiply(get(r), code.float(Math.LOG2E)), magic));
  const whole = subtract(get(n), magic);
  const high = subtract(get(r), multiply(whole, code.float(0.693359375)));
  code.set(r, subtract(high, multiply(whole, code.float(-2.1219444e-4))));
  const tail = polynomial(code, get(r), exponentialTail);
  code.set(r, add(add(multiply(multiply(get(r), get(r)), tail), get(r)), code.float(1)));
  return { mantissa: get(r), n: get(n) };
}

const exponentialTail = [
  0.4999999403953552, 0.1666651964187622, 0.041668400168418884, 0.00836885068565607, 0.0013814320554956794,
];

const keepNotANumber = (value: string, x: string): string => `(v128.or ${value} (f32x4.ne ${x} ${x}))`;

/** exp, at most 2 units: 0 below the smallest normal number, infinity above the largest. */
export const exp: Elementary = (code, argument, result) => {
  const x = code.shared("exp.x", "v128");
  code.set(x, argument);
  const { mantissa, n } = splitExponential(code, greater(lesser(get(x), code.float(89)), code.float(-88)));
  // Twice the mantissa and one less in the exponent, so that n = 128 does not overflow before its time.
  const scaled = `(i32x4.add ${add(mantissa, mantissa)} (i32x4.shl (i32x4.sub ${n} ${code.integer(1)}) (i32.const 23)))`;
  const overflow = `(f32x4.gt ${get(x)} ${code.float(88.72283)})`;
  const underflow = `(f32x4.lt ${get(x)} ${code.float(-87.33654)})`;
  code.set(result, choose(overflow, code.float(Number.POSITIVE_INFINITY), scaled));
  code.set(result, keepNotANumber(`(v128.andnot ${get(result)} ${underflow})`, get(x)));
};

/** exp within [-87.3, 88], and the value at the nearer end outside: cheaper where an end is as good as 0 or infinity. */
const boundedExp: Elementary = (code, argument, result) => {
  const x = code.shared("exp.x", "v128");
  code.set(x, argument);
  const { mantissa, n } = splitExponential(code, greater(lesser(get(x), code.float(88)), code.float(-87.33655)));
  code.set(result, keepNotANumber(`(i32x4.add ${mantissa} (i32x4.shl ${n} (i32.const 23)))`, get(x)));
};

/** boundedExp of what is at most 0, give or take rounding. */
export const expOfNegative: Elementary = (code, argument, result) => {
  const x = code.shared("exp.x", "v128");
  code.set(x, argument);
  const { mantissa, n } = splitExponential(code, greater(get(x), code.float(-87.33655)));
  code.set(result, keepNotANumber(`(i32x4.add ${mantissa} (i32x4.shl ${n} (i32.const 23)))`, get(x)));
};

/** log, at most 2 units: x = 2^e m with m in [√½, √2), log x = e ln 2 + f - f²/2 + f³ q(f) with f = m - 1. */
export const log: Elementary = (code, argument, result) => {
  const [x, e, f, y] = ["log.x", "log.e", "log.f", "log.y"].map((name) => code.shared(name, "v128"));
  const [one, half] = [code.float(1), code.float(0.5)];
  code.comment("log x = e ln 2 + f - f^2/2 + f^3 q(f) with x = 2^e (1 + f), 1 + f in [sqrt(1/2), sqrt(2))");
  code.set(y, argument);
  // Subnormal numbers are scaled by 2^32 first.
  const isSmall = `(f32x4.lt ${get(y)} ${code.float(1.1754943508222875e-38)})`;
  code.set(x, choose(isSmall, multiply(get(y), code.float(4294967296)), get(y)));
  const exponent = `(f32x4.convert_i32x4_s (i32x4.sub (i32x4.shr_u ${get(x)} (i32.const 23)) ${code.integer(126)}))`;
  code.set(e, subtract(exponent, `(v128.and ${code.float(32)} ${isSmall})`));
  code.set(f, `(v128.or (v128.and ${get(x)} ${code.integer(0x7fffff)}) ${half})`);
  const isLow = `(f32x4.lt ${get(f)} ${code.float(Math.SQRT1_2)})`;
  code.set(e, subtract(get(e), `(v128.and ${one} ${isLow})`));
  code.set(f, subtract(add(get(f), `(v128.and ${get(f)} ${isLow})`), one));
  const square = multiply(get(f), get(f));
  const tail = polynomial(
    code,
    get(f),
    [
      0.3333331346511841, -0.25000008940696716, 0.2000211924314499, -0.1666799634695053, 0.14219552278518677,
      -0.1240558922290802, 0.11888162046670914, -0.11675652116537094, 0.06746640801429749,
    ],
  );
  const small = add(multiply(multiply(get(f), square), tail), multiply(get(e), code.float(-2.1219444e-4)));
  const near = add(get(f), subtract(small, multiply(square, half)));
  code.set(f, add(near, multiply(get(e), code.float(0.693359375))));
  code.set(f, choose(`(f32x4.eq ${get(y)} ${code.float(Number.POSITIVE_INFINITY)})`, get(y), get(f)));
  code.set(f, choose(`(f32x4.eq ${get(y)} ${code.float(0)})`, code.float(Number.NEGATIVE_INFINITY), get(f)));
  const isInvalid = `(v128.or (f32x4.lt ${get(y)} ${code.float(0)}) (f32x4.ne ${get(y)} ${get(y)}))`;
  code.set(result, `(v128.or ${get(f)} ${isInvalid})`);
};

/** 1 / (1 + exp(-x)), at most 3 units. */
export const sigmoid: Elementary = (code, argument, result) => {
  code.comment("sigmoid: 1 / (1 + e^-x)");
  boundedExp(code, negate(argument), result);
  code.set(result, divide(code.float(1), add(code.float(1), get(result))));
};

/** max(x, 0) + log1p(exp(-|x|)), at most 4 units; log1p(e) = log(w) + (e - (w - 1)) / w with w = 1 + e. */
export const softplus: Elementary = (code, argument, result) => {
  const [x, e, w] = ["softplus.x", "softplus.e", "softplus.w"].map((name) => code.shared(name, "v128"));
  const one = code.float(1);
  code.comment("softplus: max(x, 0) + log1p(e^-|x|)");
  code.set(x, argument);
  expOfNegative(code, negate(absolute(get(x))), e);
  code.set(w, add(one, get(e)));
  log(code, get(w), result);
  const rest = divide(subtract(get(e), subtract(get(w), one)), get(w));
  code.set(result, add(greater(get(x), code.float(0)), add(get(result), rest)));
};

/** tanh, at most 3 units: x + x³ q(x²) below 0.625, else 1 - 2 / (exp(2|x|) + 1) with the sign of x. */
export const tanh: Elementary = (code, argument, result) => {
  const [x, e, s] = ["tanh.x", "tanh.e", "tanh.s"].map((name) => code.shared(name, "v128"));
  code.comment("tanh: x + x^3 q(x^2) below 0.625, else 1 - 2 / (e^(2|x|) + 1) with the sign of x");
  code.set(x, argument);
  boundedExp(code, add(absolute(get(x)), absolute(get(x))), e);
  code.set(s, multiply(get(x), get(x)));
  const tail = polynomial(code, get(s), tanhTail);
  const near = add(get(x), multiply(multiply(get(x), get(s)), tail));
  const far = subtract(code.float(1), divide(code.float(2), add(get(e), code.float(1))));
  const isNear = `(f32x4.lt ${absolute(get(x))} ${code.float(0.625)})`;
  code.set(result, choose(isNear, near, withSignOf(code, far, get(x))));
};

const tanhTail = [
  -0.3333328068256378, 0.13331441581249237, -0.05373971536755562, 0.0206390880048275, -0.005704986862838268,
];

/** erf, at most 3 units: x p(x²) below 1.5, else 1 - exp(-x²) q(|x| - 2.5) with the sign of x; 1 from 4 on. */
export const erf: Elementary = (code, argument, result) => {
  const [x, t, e, s] = ["erf.x", "erf.t", "erf.e", "erf.s"].map((name) => code.shared(name, "v128"));
  code.comment("erf: x p(x^2) below 1.5, else 1 - e^(-x^2) q(|x| - 2.5) with the sign of x; 1 from 4 on");
  code.set(x, argument);
  code.set(t, lesser(absolute(get(x)), code.float(4)));
  expOfNegative(code, negate(multiply(get(t), get(t))), e);
  code.set(s, multiply(get(x), get(x)));
  code.set(s, multiply(get(x), polynomial(code, get(s), erfNear)));
  code.set(t, subtract(get(t), code.float(2.5)));
  const far = subtract(code.float(1), multiply(get(e), polynomial(code, get(t), erfFar)));
  const isNear = `(f32x4.lt ${absolute(get(x))} ${code.float(1.5)})`;
  code.set(result, choose(isNear, get(s), withSignOf(code, far, get(x))));
  code.set(result, `(v128.or ${get(result)} (f32x4.ne ${get(x)} ${get(x)}))`);
};

const erfNear = [
  1.1283791065216064, -0.3761254847049713, 0.11282969266176224, -0.026837171986699104, 0.005172831937670708,
  -0.000804615905508399, 9.205019887303934e-5, -5.665303433488589e-6,
];

const erfFar = [
  0.21080628037452698, -0.07434753328561783, 0.024940241128206253, -0.008000762201845646, 0.0024570843670517206,
  -0.0007318265270441771, 0.00022487842943519354, -6.57078271615319e-5, 1.0966289664793294e-5,
];

const withSignOf = (code: WatCode, magnitude: string, signed: string): string =>
  `(v128.or ${magnitude} (v128.and ${signed} ${code.integer(-2147483648)}))`;
