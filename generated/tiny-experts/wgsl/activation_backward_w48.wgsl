// activation_backward_w48: Gradients of activation by gate, up.
//
// formula:  d_gate = up * sigmoid(gate) * d_y * (gate * (1 - sigmoid(gate)) + 1); d_up = gate * sigmoid(gate) * d_y
// source:   gradient of model.ffn.activation; gated forms: Shazeer, arXiv:2002.05202
// operands: gate    f32 rows of 48, 48 values apart
//           up      f32 rows of 48, 48 values apart
//           d_y     f32 rows of 48, 48 values apart
//           d_gate  f32 rows of 48, 48 values apart
//           d_up    f32 rows of 48, 48 values apart
//           rows    u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[0].ffn.activation dgrad (model.ffn.activation)
// spec:     tiny-experts
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

fn sigmoid4(x: vec4f) -> vec4f {
  return 1.0 / (1.0 + exp4(-x));
}

const LANES = 48u;
const VECTORS = 12u;

@compute @workgroup_size(64)
fn activation_backward_w48(
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
  let gate_2 = load_gate(row * 12u + vector);
  let sigmoid = sigmoid4(gate_2);
  let multiply = sigmoid * load_d_y(row * 12u + vector);
  store_d_gate(row * 12u + vector, load_up(row * 12u + vector) * multiply * (1.0f + gate_2 * (1.0f - sigmoid)));
  store_d_up(row * 12u + vector, gate_2 * multiply);
}
