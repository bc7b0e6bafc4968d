// activation_backward_w50: Gradients of activation by gate, up.
//
// formula:  d_gate = up * d_y * (0.5 * erf(0.70710678 * gate) + 0.39894228 * (gate * exp(-0.5 * gate^2)) + 0.5); d_up = 0.5 * gate * (erf(0.70710678 * gate) + 1) * d_y
// source:   gradient of model.ffn.activation; gated forms: Shazeer, arXiv:2002.05202
// operands: gate    f32 rows of 50, 52 values apart
//           up      f32 rows of 50, 52 values apart
//           d_y     f32 rows of 50, 52 values apart
//           d_gate  f32 rows of 50, 52 values apart
//           d_up    f32 rows of 50, 52 values apart
//           rows    u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[1].ffn.activation dgrad (model.ffn.activation)
// spec:     tiny-formulas
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> gate: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> up: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> d_y: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> d_gate: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> d_up: array<vec4f>;
@group(0) @binding(5) var<uniform> words: Words;

fn load_gate(i: u32) -> vec4f {
  return gate[i];
}

fn load_up(i: u32) -> vec4f {
  return up[i];
}

fn load_d_y(i: u32) -> vec4f {
  return d_y[i];
}

fn store_d_gate(i: u32, value: vec4f) {
  d_gate[i] = value;
}

fn store_d_up(i: u32, value: vec4f) {
  d_up[i] = value;
}

/// A question to the bits: compilers may assume that there is no NaN.
fn is_nan4(x: vec4f) -> vec4<bool> {
  return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

/// e^x = 2^n e^r with |r| <= ln 2 / 2; 2^n in two factors, so that neither overflows before its time.
fn exp4(x: vec4f) -> vec4f {
  let bounded = clamp(x, vec4f(-104.0), vec4f(89.0));
  let n = floor(bounded * 1.4426950408889634 + 0.5);
  let r = (bounded - n * 0.693359375) - n * -2.1219444e-4;
  let mantissa = r * r * ((((0.0013814320554956794 * r + 0.00836885068565607) * r + 0.041668400168418884) * r + 0.1666651964187622) * r + 0.4999999403953552) + r + 1.0;
  let half = vec4i(n) >> vec4u(1u);
  let rest = vec4i(n) - half;
  let low = bitcast<vec4f>((half + 127) << vec4u(23u));
  let high = bitcast<vec4f>((rest + 127) << vec4u(23u));
  return select(mantissa * low * high, x, is_nan4(x));
}

/// x p(x^2) below 1.5, else 1 - e^(-x^2) q(|x| - 2.5) with the sign of x; 1 from 4 on.
fn erf4(x: vec4f) -> vec4f {
  let t = min(abs(x), vec4f(4.0));
  let s = x * x;
  let near = x * (((((((-0.000005665303433488589 * s + 0.00009205019887303934) * s + -0.000804615905508399) * s + 0.005172831937670708) * s + -0.026837171986699104) * s + 0.11282969266176224) * s + -0.3761254847049713) * s + 1.1283791065216064);
  let u = t - 2.5;
  let far = 1.0 - exp4(-(t * t)) * ((((((((0.000010966289664793294 * u + -0.0000657078271615319) * u + 0.00022487842943519354) * u + -0.0007318265270441771) * u + 0.0024570843670517206) * u + -0.008000762201845646) * u + 0.024940241128206253) * u + -0.07434753328561783) * u + 0.21080628037452698);
  let value = select(select(far, -far, x < vec4f(0.0)), near, abs(x) < vec4f(1.5));
  return select(value, x, is_nan4(x));
}

const LANES = 50u;
const VECTORS = 13u;

@compute @workgroup_size(64)
fn activation_backward_w50(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let index = tile * 64u + thread;
  let row = index / VECTORS;
  let vector = index % VECTORS;
  if (row >= words.rows) {
    return;
  }
  let d_y_2 = load_d_y(row * 13u + vector);
  let gate_2 = load_gate(row * 13u + vector);
  let erf = erf4(gate_2 * 0.7071067690849304f);
  store_d_gate(row * 13u + vector, load_up(row * 13u + vector) * d_y_2 * (0.5f + erf * 0.5f + gate_2 * exp4(-(gate_2 * gate_2 * 0.5f)) * 0.3989422917366028f));
  store_d_up(row * 13u + vector, d_y_2 * gate_2 * (1.0f + erf) * 0.5f);
}
