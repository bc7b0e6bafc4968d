// exp, log, sin, cos and pow in f64 with the same bits on every JavaScript engine: only + - * / and integer operations.
// Owns the polynomials and the argument reductions; Math.exp and its kin differ between engines and are never called.

/** ln 2 in two parts: the first has 32 significant bits, so k * LN2_HIGH is exact for every binary exponent k. */
const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;
const INVERSE_LN2 = 1 / LN2_HIGH;

/** pi/2 in four parts; the first three have 26 significant bits, so n * part is exact for |n| < 2^26. */
const HALF_PI = [1.5707963109016418, 1.5893254712295857e-8, 6.123233932053594e-17, 6.36831716351095e-25] as const;
const INVERSE_HALF_PI = 0.6366197723675814;

/** Where a mantissa counts as the next binade's, near the square root of 2. */
const MANTISSA_END = 1.42;
/** 2^27 + 1: splits an f64 into two halves of 26 bits (Veltkamp). */
const SPLITTER = 134217729;
const TWO_54 = 18014398509481984;

const words = new DataView(new ArrayBuffer(8));

/** 2^k for -1022 <= k <= 1023. */
function powerOfTwo(k: number): number {
  words.setUint32(0, (k + 1023) << 20);
  words.setUint32(4, 0);
  return words.getFloat64(0);
}

/** value * 2^k; two factors, because 2^k alone leaves the range of f64 when the result is near its ends. */
function scale(value: number, k: number): number {
  const half = k >> 1;
  return value * powerOfTwo(half) * powerOfTwo(k - half);
}

/** The exponent k of x = m 2^k with m in [0.71, 1.42); m is left in `mantissa`. x is positive and finite. */
let mantissa = 0;
function splitExponent(x: number): number {
  const isSubnormal = x < 2.2250738585072014e-308;
  words.setFloat64(0, isSubnormal ? x * TWO_54 : x);
  const high = words.getUint32(0);
  words.setUint32(0, (high & 0xfffff) | 0x3ff00000);
  mantissa = words.getFloat64(0);
  const k = (high >>> 20) - 1023 - (isSubnormal ? 54 : 0);
  if (mantissa < MANTISSA_END) return k;
  mantissa *= 0.5;
  return k + 1;
}

/** The rounding error of the product a * b, exactly (Dekker). */
function productError(a: number, b: number, product: number): number {
  const aScaled = SPLITTER * a;
  const aHigh = aScaled - (aScaled - a);
  const aLow = a - aHigh;
  const bScaled = SPLITTER * b;
  const bHigh = bScaled - (bScaled - b);
  const bLow = b - bHigh;
  return aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
}

/** The rounding error of the sum a + b, exactly (Knuth). */
function sumError(a: number, b: number, sum: number): number {
  const bRounded = sum - a;
  return a - (sum - bRounded) + (b - bRounded);
}

/** exp(high + low) for |low| far below |high|. */
function expOfSum(high: number, low: number): number {
  if (high > 710) return Number.POSITIVE_INFINITY;
  if (high < -746) return 0;
  const k = Math.floor(high * INVERSE_LN2 + 0.5);
  // The first difference is exact, so the reduced argument is known to twice the precision of f64.
  const exact = high - k * LN2_HIGH;
  const correction = k * LN2_LOW - low;
  const r = exact - correction;
  const rError = exact - r - correction;
  // Taylor's series to r^13 / 13!: what follows is below 2^-57 for |r| <= ln(2) / 2.
  const p7 = 1 / 5040 + r * (1 / 40320 + r * (1 / 362880 + r * (1 / 3628800 + r * (1 / 39916800 + r * P12(r)))));
  const p3 = 1 / 6 + r * (1 / 24 + r * (1 / 120 + r * (1 / 720 + r * p7)));
  const tail = r * r * (0.5 + r * p3) + rError;
  const sum = 1 + r;
  return scale(sum + (r - (sum - 1) + tail), k);
}

function P12(r: number): number {
  return 1 / 479001600 + r * (1 / 6227020800);
}

/** Taylor's series of 2 atanh(s) / s - 2 from the term in s^2n, in z = s^2, with its terms to z^11. */
function atanhTail7(z: number): number {
  const high = 2 / 17 + z * (2 / 19 + z * (2 / 21 + z * (2 / 23)));
  return 2 / 7 + z * (2 / 9 + z * (2 / 11 + z * (2 / 13 + z * (2 / 15 + z * high))));
}

/**
 * e to the power x.
 *
 * Error: below 1 ulp where the result is a normal number. Overflows to Infinity, underflows through subnormals to 0.
 */
export function exp(x: number): number {
  return expOfSum(x, 0);
}

/**
 * The natural logarithm.
 *
 * Error: below 1 ulp. log(0) is -Infinity, log of a negative number NaN.
 */
export function log(x: number): number {
  if (!(x > 0 && x < Number.POSITIVE_INFINITY)) return x === 0 ? Number.NEGATIVE_INFINITY : x > 0 ? x : Number.NaN;
  const k = splitExponent(x);
  const f = mantissa - 1;
  const s = f / (2 + f);
  const z = s * s;
  const series = z * (2 / 3 + z * (2 / 5 + z * atanhTail7(z)));
  // log(1 + f) = 2s + s series, and 2s = f - f^2/2 + s f^2/2: f is exact, so what is rounded is small beside it.
  const halfSquare = 0.5 * f * f;
  const small = halfSquare - (s * (halfSquare + series) + k * LN2_LOW);
  return k * LN2_HIGH - (small - f);
}

/**
 * base to the power exponent, for a positive, finite base.
 *
 * Error: below 1 ulp where the result is a normal number: the logarithm is taken to 64 bits.
 */
export function pow(base: number, exponent: number): number {
  const k = splitExponent(base);
  const f = mantissa - 1;
  const divisor = mantissa + 1;
  const divisorError = sumError(mantissa, 1, divisor);
  const s = f / divisor;
  const sTimes = s * divisor;
  const sLow = (f - sTimes - productError(s, divisor, sTimes) - s * divisorError) / divisor;
  const z = s * s;
  const zLow = productError(s, s, z) + 2 * s * sLow;
  // The series 2 + z (2/3 + z (2/5 + ...)) in pairs of f64; 3.7e-17 is what f64 loses of 2/3.
  const inner = z * (2 / 5 + z * atanhTail7(z));
  const c = 2 / 3 + inner;
  const cLow = sumError(2 / 3, inner, c) + 3.700743415417188e-17;
  const w = z * c;
  const series = 2 + w;
  const seriesLow = w - (series - 2) + (productError(z, c, w) + (z * cLow + zLow * c));
  const m = s * series;
  const mLow = productError(s, series, m) + (s * seriesLow + sLow * series);
  const shift = k * LN2_HIGH;
  const high = shift + m;
  const low = sumError(shift, m, high) + (mLow + k * LN2_LOW);
  const product = exponent * high;
  if (!(product < 800 && product > -800)) return expOfSum(product, 0);
  return expOfSum(product, productError(exponent, high, product) + exponent * low);
}

/** Reduces x to `reduced` + `reducedLow` in [-pi/4, pi/4] and returns the quadrant, 0 to 3. */
let reduced = 0;
let reducedLow = 0;
function reduceAngle(x: number): number {
  const n = Math.floor(x * INVERSE_HALF_PI + 0.5);
  const first = x - n * HALF_PI[0];
  const second = n * HALF_PI[1];
  const third = n * HALF_PI[2];
  const sum = first - second;
  const high = sum - third;
  // Near a multiple of pi/2 the leading parts cancel, so the error of each difference is kept.
  const low = sumError(first, -second, sum) + sumError(sum, -third, high) - n * HALF_PI[3];
  reduced = high + low;
  reducedLow = high - reduced + low;
  return n & 3;
}

/** sin(x + low) for |x| <= pi/4 by Taylor's series to x^17 / 17!. */
function sinKernel(x: number, low: number): number {
  const z = x * x;
  const p9 =
    1 / 362880 - z * (1 / 39916800 - z * (1 / 6227020800 - z * (1 / 1307674368000 - z * (1 / 355687428096000))));
  const p5 = 1 / 120 - z * (1 / 5040 - z * p9);
  const cube = z * x;
  return x - (cube * (1 / 6) - (cube * z * p5 + low * (1 - 0.5 * z)));
}

/** cos(x + low) for |x| <= pi/4 by Taylor's series to x^18 / 18!. */
function cosKernel(x: number, low: number): number {
  const z = x * x;
  const p12 = 1 / 479001600 - z * (1 / 87178291200 - z * (1 / 20922789888000 - z * (1 / 6402373705728000)));
  const p4 = 1 / 24 - z * (1 / 720 - z * (1 / 40320 - z * (1 / 3628800 - z * p12)));
  const half = 0.5 * z;
  const sum = 1 - half;
  return sum + (1 - sum - half + (z * z * p4 - x * low));
}

/**
 * The sine of x radians, for |x| <= 10^8 (the reduction is exact up to there).
 *
 * Error: below 1 ulp.
 */
export function sin(x: number): number {
  const quadrant = reduceAngle(x);
  const value = (quadrant & 1) === 0 ? sinKernel(reduced, reducedLow) : cosKernel(reduced, reducedLow);
  return quadrant < 2 ? value : -value;
}

/**
 * The cosine of x radians, for |x| <= 10^8 (the reduction is exact up to there).
 *
 * Error: below 1 ulp.
 */
export function cos(x: number): number {
  const quadrant = reduceAngle(x);
  const value = (quadrant & 1) === 0 ? cosKernel(reduced, reducedLow) : sinKernel(reduced, reducedLow);
  return quadrant === 0 || quadrant === 3 ? value : -value;
}
