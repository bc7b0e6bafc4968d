// Elementary functions in WGSL. The built-in ones are too far off on some adapters (a log by 200 units, a tanh that is NaN
// from 89 on), so these are the polynomials of the wasm target; errors are in units of roundoff (2^-24) and tested.

export type ElementaryName = "sign" | "exp" | "log" | "sigmoid" | "softplus" | "tanh" | "erf";

export const elementaryNames: ReadonlySet<ElementaryName> = new Set<ElementaryName>([
  "sign",
  "exp",
  "log",
  "sigmoid",
  "softplus",
  "tanh",
  "erf",
]);

/** The types of four lanes, or of one. */
interface Types {
  readonly suffix: "4" | "1";
  readonly f: string;
  readonly i: string;
  readonly u: string;
}

const types: Readonly<Record<"4" | "1", Types>> = {
  "4": { suffix: "4", f: "vec4f", i: "vec4i", u: "vec4u" },
  "1": { suffix: "1", f: "f32", i: "i32", u: "u32" },
};

/** Coefficients from the constant upwards: ((c_n x + …) x + c_1) x + c_0. */
function polynomial(x: string, coefficients: readonly number[]): string {
  const [highest, ...rest] = [...coefficients].reverse();
  return rest.reduce((sum, c) => `(${sum} * ${x} + ${c})`, String(highest));
}

const exponentialTail = [
  0.4999999403953552, 0.1666651964187622, 0.041668400168418884, 0.00836885068565607, 0.0013814320554956794,
];
const logTail = [
  0.3333331346511841, -0.25000008940696716, 0.2000211924314499, -0.1666799634695053, 0.14219552278518677,
  -0.1240558922290802, 0.11888162046670914, -0.11675652116537094, 0.06746640801429749,
];
const tanhTail = [
  -0.3333328068256378, 0.13331441581249237, -0.05373971536755562, 0.0206390880048275, -0.005704986862838268,
];
const erfNear = [
  1.1283791065216064, -0.3761254847049713, 0.11282969266176224, -0.026837171986699104, 0.005172831937670708,
  -0.000804615905508399, 9.205019887303934e-5, -5.665303433488589e-6,
];
const erfFar = [
  0.21080628037452698, -0.07434753328561783, 0.024940241128206253, -0.008000762201845646, 0.0024570843670517206,
  -0.0007318265270441771, 0.00022487842943519354, -6.57078271615319e-5, 1.0966289664793294e-5,
];

const sign = ({ suffix, f }: Types): string[] => [
  "/// The built-in sign may lose a NaN.",
  `fn sign${suffix}(x: ${f}) -> ${f} {`,
  `  return select(sign(x), x, is_nan${suffix}(x));`,
  "}",
];

/** e^x = 2^n e^r with |r| <= ln 2 / 2, in two steps of 2^n so that neither end overflows before its time. */
const exp = ({ suffix, f, i }: Types): string[] => [
  "/// e^x = 2^n e^r with |r| <= ln 2 / 2; 2^n in two factors, so that neither overflows before its time.",
  `fn exp${suffix}(x: ${f}) -> ${f} {`,
  `  let bounded = clamp(x, ${f}(-104.0), ${f}(89.0));`,
  "  let n = floor(bounded * 1.4426950408889634 + 0.5);",
  "  let r = (bounded - n * 0.693359375) - n * -2.1219444e-4;",
  `  let mantissa = r * r * ${polynomial("r", exponentialTail)} + r + 1.0;`,
  `  let half = ${i}(n) >> ${f === "f32" ? "1u" : "vec4u(1u)"};`,
  `  let rest = ${i}(n) - half;`,
  `  let low = bitcast<${f}>((half + 127) << ${f === "f32" ? "23u" : "vec4u(23u)"});`,
  `  let high = bitcast<${f}>((rest + 127) << ${f === "f32" ? "23u" : "vec4u(23u)"});`,
  `  return select(mantissa * low * high, x, is_nan${suffix}(x));`,
  "}",
];

const isNanLines = ({ suffix, f, u }: Types): string[] => [
  "/// A question to the bits: compilers may assume that there is no NaN.",
  `fn is_nan${suffix}(x: ${f}) -> ${f === "f32" ? "bool" : "vec4<bool>"} {`,
  `  return (bitcast<${u}>(x) & ${u}(0x7fffffffu)) > ${u}(0x7f800000u);`,
  "}",
];

const isFiniteLines = ({ suffix, f, u }: Types): string[] => [
  "/// Neither infinite nor NaN: a question to the bits, as compilers may assume that there is neither.",
  `fn is_finite${suffix}(x: ${f}) -> ${f === "f32" ? "bool" : "vec4<bool>"} {`,
  `  return (bitcast<${u}>(x) & ${u}(0x7fffffffu)) < ${u}(0x7f800000u);`,
  "}",
];

/** x = 2^e m with m in [√½, √2), log x = e ln 2 + f - f²/2 + f³ q(f) with f = m - 1; numbers below the smallest normal are 0. */
const log = ({ suffix, f, i, u }: Types): string[] => [
  "/// log x = e ln 2 + f - f^2/2 + f^3 q(f) with x = 2^e (1 + f), 1 + f in [sqrt(1/2), sqrt(2)).",
  `fn log${suffix}(x: ${f}) -> ${f} {`,
  `  let bits = bitcast<${u}>(x);`,
  `  let m = bitcast<${f}>((bits & ${u}(0x7fffffu)) | ${u}(0x3f000000u));`,
  `  let is_low = m < ${f}(0.70710677);`,
  `  let e = ${f}(${i}(bits >> ${f === "f32" ? "23u" : "vec4u(23u)"}) - 126) - select(${f}(0.0), ${f}(1.0), is_low);`,
  `  let f = select(m, m + m, is_low) - 1.0;`,
  "  let square = f * f;",
  `  let small = f * square * ${polynomial("f", logTail)} + e * -2.1219444e-4;`,
  "  let value = (f + (small - square * 0.5)) + e * 0.693359375;",
  // The logarithm of 0: made of bits at run time, as a constant infinity does not compile.
  `  let minus_infinity = bitcast<${f}>(max(bits, ${u}(0xff800000u)));`,
  `  let is_zero = bits << ${f === "f32" ? "1u" : "vec4u(1u)"} < ${u}(0x1000000u);`,
  `  let is_odd = bits >= ${u}(0x7f800000u);`,
  `  let odd = select(x, bitcast<${f}>(bits | ${u}(0x7fc00000u)), bits > ${u}(0x80000000u));`,
  `  return select(select(value, odd, is_odd), minus_infinity, is_zero);`,
  "}",
];

const sigmoid = ({ suffix, f }: Types): string[] => [
  `fn sigmoid${suffix}(x: ${f}) -> ${f} {`,
  `  return 1.0 / (1.0 + exp${suffix}(-x));`,
  "}",
];

/** Of the series of artanh, in s²: 1 / (2 i + 1). The next term is below 2^-29 at s = 1/3. */
const artanhSeries = Array.from({ length: 9 }, (_, i) => Math.fround(1 / (2 * i + 1)));

/**
 * log1p(e) = 2 artanh(e / (2 + e)) for e in [0, 1]. What adds up rounding errors, as on wasm, does not work here: compilers may
 * take (1 + e) - 1 for e.
 */
const softplus = ({ suffix, f }: Types): string[] => [
  "/// max(x, 0) + log1p(e) with e = e^-|x|; log1p(e) = 2 artanh(e / (2 + e)), and e - e^2 / 2 below 2^-12.",
  `fn softplus${suffix}(x: ${f}) -> ${f} {`,
  `  let e = exp${suffix}(-abs(x));`,
  "  let s = e / (2.0 + e);",
  "  let q = s * s;",
  `  let far = 2.0 * s * ${polynomial("q", artanhSeries)};`,
  `  return max(x, ${f}(0.0)) + select(far, e * (1.0 - 0.5 * e), e < ${f}(0.00024414062));`,
  "}",
];

const tanh = ({ suffix, f }: Types): string[] => [
  "/// x + x^3 q(x^2) below 0.625, else 1 - 2 / (e^(2|x|) + 1) with the sign of x.",
  `fn tanh${suffix}(x: ${f}) -> ${f} {`,
  "  let s = x * x;",
  `  let near = x + x * s * ${polynomial("s", tanhTail)};`,
  `  let far = 1.0 - 2.0 / (exp${suffix}(2.0 * abs(x)) + 1.0);`,
  `  return select(select(far, -far, x < ${f}(0.0)), near, abs(x) < ${f}(0.625));`,
  "}",
];

const erf = ({ suffix, f }: Types): string[] => [
  "/// x p(x^2) below 1.5, else 1 - e^(-x^2) q(|x| - 2.5) with the sign of x; 1 from 4 on.",
  `fn erf${suffix}(x: ${f}) -> ${f} {`,
  `  let t = min(abs(x), ${f}(4.0));`,
  "  let s = x * x;",
  `  let near = x * ${polynomial("s", erfNear)};`,
  "  let u = t - 2.5;",
  `  let far = 1.0 - exp${suffix}(-(t * t)) * ${polynomial("u", erfFar)};`,
  `  let value = select(select(far, -far, x < ${f}(0.0)), near, abs(x) < ${f}(1.5));`,
  `  return select(value, x, is_nan${suffix}(x));`,
  "}",
];

/** Definitions in an order in which each stands behind what it calls. */
const definitions: readonly {
  readonly name: string;
  readonly needs: readonly string[];
  readonly lines: (types: Types) => string[];
}[] = [
  { name: "is_nan", needs: [], lines: isNanLines },
  { name: "is_finite", needs: [], lines: isFiniteLines },
  { name: "sign", needs: ["is_nan"], lines: sign },
  { name: "exp", needs: ["is_nan"], lines: exp },
  { name: "log", needs: [], lines: log },
  { name: "sigmoid", needs: ["exp", "is_nan"], lines: sigmoid },
  { name: "softplus", needs: ["exp", "is_nan"], lines: softplus },
  { name: "tanh", needs: ["exp", "is_nan"], lines: tanh },
  { name: "erf", needs: ["exp", "is_nan"], lines: erf },
];

/** The functions that are called, such as `exp4` and `log1`, with those that they call themselves. */
export function elementaryFunctions(called: ReadonlySet<string>): string[] {
  return (["4", "1"] as const).flatMap((suffix) => {
    const own = definitions.filter(({ name }) => called.has(`${name}${suffix}`));
    const wanted = new Set(own.flatMap(({ name, needs }) => [name, ...needs]));
    return definitions.filter(({ name }) => wanted.has(name)).flatMap(({ lines }) => ["", ...lines(types[suffix])]);
  });
}
