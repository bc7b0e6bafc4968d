// adamw_w48: AdamW with decoupled decay; keeps weight and moments where the step is not finite.
//
// formula:  let g = gradient * scale; let m1 = 0.9 * m + 0.1 * g; let v1 = 0.95 * v + 0.05 * (gradient^2 * scale^2); w = if(finite != 0, w - learning_rate * m1 / correction1 / (sqrt(v1 / correction2) + 1e-8), w); m = if(finite != 0, m1, m); v = if(finite != 0, v1, v)
// source:   Loshchilov and Hutter, arXiv:1711.05101, algorithm 2
// operands: w              f32 rows of 48, 48 values apart
//           gradient       f32 rows of 48, 48 values apart
//           m              f32 rows of 48, 48 values apart
//           v              f32 rows of 48, 48 values apart
//           learning_rate  f32 scalar
//           scale          f32 scalar
//           correction1    f32 scalar
//           correction2    f32 scalar
//           finite         f32 scalar
//           rows           u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[0].ffn.down update (train.optimizer)
// spec:     tiny-experts
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
  learning_rate: u32,
  scale: u32,
  correction1: u32,
  correction2: u32,
  finite: u32,
}

@group(0) @binding(0) var<storage, read_write> w: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> gradient: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> m: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> v: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> scalars: array<f32>;
@group(0) @binding(5) var<uniform> words: Words;

fn load_w(i: u32) -> vec4f {
  return w[i];
}

fn store_w(i: u32, value: vec4f) {
  w[i] = value;
}

fn load_gradient(i: u32) -> vec4f {
  return gradient[i];
}

fn load_m(i: u32) -> vec4f {
  return m[i];
}

fn store_m(i: u32, value: vec4f) {
  m[i] = value;
}

fn load_v(i: u32) -> vec4f {
  return v[i];
}

fn store_v(i: u32, value: vec4f) {
  v[i] = value;
}

const LANES = 48u;
const VECTORS = 12u;

@compute @workgroup_size(64)
fn adamw_w48(
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
  let finite = scalars[words.finite];
  let equal = (finite == 0.0f);
  let not = !(equal);
  let scale = scalars[words.scale];
  let multiply = scale * 0.10000000149011612f;
  let learning_rate = scalars[words.learning_rate];
  let correction1 = scalars[words.correction1];
  let reciprocal = 1.0f / correction1;
  let multiply_2 = learning_rate * reciprocal;
  let multiply_3 = scale * 0.05000000074505806f;
  let correction2 = scalars[words.correction2];
  let reciprocal_2 = 1.0f / correction2;
  let w_2 = load_w(row * 12u + vector);
  let m_2 = load_m(row * 12u + vector);
  let gradient_2 = load_gradient(row * 12u + vector);
  let m1 = m_2 * 0.8999999761581421f + gradient_2 * multiply;
  let v_2 = load_v(row * 12u + vector);
  let g_2 = gradient_2 * scale;
  let v1 = v_2 * 0.949999988079071f + gradient_2 * g_2 * multiply_3;
  store_w(row * 12u + vector, select(w_2, w_2 - m1 * multiply_2 / (9.99999993922529e-9f + sqrt(v1 * reciprocal_2)), vec4<bool>(not)));
  store_m(row * 12u + vector, select(m_2, m1, vec4<bool>(not)));
  store_v(row * 12u + vector, select(v_2, v1, vec4<bool>(not)));
}
