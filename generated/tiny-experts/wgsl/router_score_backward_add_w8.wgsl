// router_score_backward_add_w8: Gradients of router_score by logit, with addend added to d_logit.
//
// formula:  d_logit = sigmoid(logit) * d_score * (1 - sigmoid(logit)) + addend
// source:   gradient of DeepSeek-V3, arXiv:2412.19437, section 2.1.2; Shazeer et al., arXiv:1701.06538
// operands: logit    f32 rows of 8, 8 values apart
//           d_score  f32 rows of 8, 8 values apart
//           addend   f32 rows of 8, 8 values apart
//           d_logit  f32 rows of 8, 8 values apart
//           rows     u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[1..2].ffn.router dgrad (model.ffn.router)
//           mtp[0].ffn.router dgrad (model.ffn.router)
// spec:     tiny-experts
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> logit: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> d_score: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> addend: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> d_logit: array<vec4f>;
@group(0) @binding(4) var<uniform> words: Words;

fn load_logit(i: u32) -> vec4f {
  return logit[i];
}

fn load_d_score(i: u32) -> vec4f {
  return d_score[i];
}

fn load_addend(i: u32) -> vec4f {
  return addend[i];
}

fn store_d_logit(i: u32, value: vec4f) {
  d_logit[i] = value;
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

fn sigmoid4(x: vec4f) -> vec4f {
  return 1.0 / (1.0 + exp4(-x));
}

const LANES = 8u;
const VECTORS = 2u;

@compute @workgroup_size(64)
fn router_score_backward_add_w8(
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
  let sigmoid = sigmoid4(load_logit(row * 2u + vector));
  store_d_logit(row * 2u + vector, sigmoid * load_d_score(row * 2u + vector) * (1.0f - sigmoid) + load_addend(row * 2u + vector));
}
