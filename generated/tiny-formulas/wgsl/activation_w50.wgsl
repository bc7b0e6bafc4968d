// activation_w50: Applies the spec's activation formula to its projections, element by element.
//
// formula:  y = max(x, 0)^2
// source:   model.ffn.activation; gated forms: Shazeer, arXiv:2002.05202
// operands: x     f32 rows of 50, 52 values apart
//           y     f32 rows of 50, 52 values apart
//           rows  u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[0].ffn.activation fprop (model.ffn.activation)
// spec:     tiny-formulas
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<uniform> words: Words;

fn load_x(i: u32) -> vec4f {
  return x[i];
}

fn store_y(i: u32, value: vec4f) {
  y[i] = value;
}

const LANES = 50u;
const VECTORS = 13u;

@compute @workgroup_size(64)
fn activation_w50(
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
  let max_ = max(load_x(row * 13u + vector), vec4f(0.0f));
  store_y(row * 13u + vector, max_ * max_);
}
