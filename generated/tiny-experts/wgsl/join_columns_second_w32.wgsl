// join_columns_second_w32: The rows of two tensors side by side.
//
// formula:  y = x
// source:   concatenation
// operands: x     f32 rows of 32, 32 values apart
//           y     f32 rows of 64, 64 values apart
//           rows  u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  mtp[0].projection fprop (model.mtp)
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

const LANES = 32u;
const VECTORS = 8u;

@compute @workgroup_size(64)
fn join_columns_second_w32(
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
  store_y(row * 16u + 8u + vector, load_x(row * 8u + vector));
}
