// split_columns_first_w16: The first columns of every row and the others, as two tensors.
//
// formula:  y = x
// source:   concatenation, backwards
// operands: x     f32 rows of 20, 20 values apart
//           y     f32 rows of 16, 16 values apart
//           rows  u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[0..2].attention.kv_down fprop (model.attention)
//           mtp[0].attention.kv_down fprop (model.attention)
// spec:     tiny-experts
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

const LANES = 16u;
const VECTORS = 4u;

@compute @workgroup_size(64)
fn split_columns_first_w16(
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
  store_y(row * 4u + vector, load_x(row * 5u + vector));
}
