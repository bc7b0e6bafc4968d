// activation_w16: Applies the spec's activation formula to its projections, element by element.
//
// formula:  y = gate * up * sigmoid(gate)
// source:   model.ffn.activation; gated forms: Shazeer, arXiv:2002.05202
// operands: gate  f32 rows of 16, 16 values apart
//           up    f32 rows of 16, 16 values apart
//           y     f32 rows of 16, 16 values apart
//           rows  u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[1..2].ffn.experts.activation fprop (model.ffn.activation)
//           layers[1..2].ffn.shared.activation fprop (model.ffn.activation)
//           mtp[0].ffn.experts.activation fprop (model.ffn.activation)
//           mtp[0].ffn.shared.activation fprop (model.ffn.activation)
// spec:     tiny-experts
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> gate: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> up: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<uniform> words: Words;

fn load_gate(i: u32) -> vec4f {
  return gate[i];
}

fn load_up(i: u32) -> vec4f {
  return up[i];
}

fn store_y(i: u32, value: vec4f) {
  y[i] = value;
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

const LANES = 16u;
const VECTORS = 4u;

@compute @workgroup_size(64)
fn activation_w16(
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
  let gate_2 = load_gate(row * 4u + vector);
  store_y(row * 4u + vector, gate_2 * load_up(row * 4u + vector) * sigmoid4(gate_2));
}
