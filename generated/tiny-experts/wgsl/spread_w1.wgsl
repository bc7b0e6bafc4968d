// spread_w1: Repeats a number for every token.
//
// formula:  y = value
// source:   the gradient of a mean by its terms
// operands: value  f32 scalar
//           y      f32 vector
//           rows   u32, rows of this run
// tile:     one row per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  loss dgrad (model.ffn.router.losses)
// spec:     tiny-experts
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
  value: u32,
}

@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read_write> scalars: array<f32>;
@group(0) @binding(2) var<uniform> words: Words;

fn put_y(i: u32, value: f32) {
  y[i] = value;
}

const LANES = 1u;
const VECTORS = 1u;

@compute @workgroup_size(64)
fn spread_w1(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let row_tile = tile * 64u + thread;
  let first = row_tile * 1u;
  let end = min(first + 1u, words.rows);
  let value = scalars[words.value];
  for (var row = first; row < end; row++) {
    // phase 1: y
    put_y(row, value);
  }
}
