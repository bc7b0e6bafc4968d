// join_columns_backward_second_w32: Gradients of join_columns by x.
//
// formula:  d_x = d_y
// source:   gradient of concatenation
// operands: d_y   f32 rows of 64, 64 values apart
//           d_x   f32 rows of 32, 32 values apart
//           rows  u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  mtp[0].projection dgrad (model.mtp)
// spec:     tiny-experts
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> d_y: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> d_x: array<vec4f>;
@group(0) @binding(2) var<uniform> words: Words;

fn load_d_y(i: u32) -> vec4f {
  return d_y[i];
}

fn store_d_x(i: u32, value: vec4f) {
  d_x[i] = value;
}

const LANES = 32u;
const VECTORS = 8u;

@compute @workgroup_size(64)
fn join_columns_backward_second_w32(
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
  store_d_x(row * 8u + vector, load_d_y(row * 16u + 8u + vector));
}
