// add_w20: Adds two tensors of one shape.
//
// formula:  sum = a + b
// source:   residual connection, He et al., arXiv:1512.03385
// operands: a     f32 rows of 20, 20 values apart
//           b     f32 rows of 20, 20 values apart
//           sum   f32 rows of 20, 20 values apart
//           rows  u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[0..1].attention.norm dgrad (model.norm)
// spec:     tiny-formulas
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> a: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> sum: array<vec4f>;
@group(0) @binding(3) var<uniform> words: Words;

fn load_a(i: u32) -> vec4f {
  return a[i];
}

fn load_b(i: u32) -> vec4f {
  return b[i];
}

fn store_sum(i: u32, value: vec4f) {
  sum[i] = value;
}

const LANES = 20u;
const VECTORS = 5u;

@compute @workgroup_size(64)
fn add_w20(
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
  store_sum(row * 5u + vector, load_a(row * 5u + vector) + load_b(row * 5u + vector));
}
