// activation_backward_w50_4a3c06a6: Gradients of activation by x.
//
// formula:  d_x = if(0 <= x, 2 * max(x, 0) * d_y, 0)
// source:   gradient of model.ffn.activation; gated forms: Shazeer, arXiv:2002.05202
// operands: x     f32 rows of 50, 52 values apart
//           d_y   f32 rows of 50, 52 values apart
//           d_x   f32 rows of 50, 52 values apart
//           rows  u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[0].ffn.activation dgrad (model.ffn.activation)
// spec:     tiny-formulas
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> d_y: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> d_x: array<vec4f>;
@group(0) @binding(3) var<uniform> words: Words;

fn load_x(i: u32) -> vec4f {
  return x[i];
}

fn load_d_y(i: u32) -> vec4f {
  return d_y[i];
}

fn store_d_x(i: u32, value: vec4f) {
  d_x[i] = value;
}

const LANES = 50u;
const VECTORS = 13u;

@compute @workgroup_size(64)
fn activation_backward_w50_4a3c06a6(
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
  let x_2 = load_x(row * 13u + vector);
  store_d_x(row * 13u + vector, select(vec4f(0.0f), max(x_2, vec4f(0.0f)) * load_d_y(row * 13u + vector) * 2.0f, (vec4f(0.0f) <= x_2)));
}
