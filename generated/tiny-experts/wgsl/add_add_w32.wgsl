// add_add_w32: Adds two tensors of one shape, with addend added to sum.
//
// formula:  sum = a + b + addend
// source:   residual connection, He et al., arXiv:1512.03385
// operands: a       f32 rows of 32, 32 values apart
//           b       f32 rows of 32, 32 values apart
//           addend  f32 rows of 32, 32 values apart
//           sum     f32 rows of 32, 32 values apart
//           rows    u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[1..2].ffn.norm dgrad (model.norm)
//           mtp[0].ffn.norm dgrad (model.norm)
// spec:     tiny-experts
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> a: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> addend: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> sum: array<vec4f>;
@group(0) @binding(4) var<uniform> words: Words;

fn load_a(i: u32) -> vec4f {
  return a[i];
}

fn load_b(i: u32) -> vec4f {
  return b[i];
}

fn load_addend(i: u32) -> vec4f {
  return addend[i];
}

fn store_sum(i: u32, value: vec4f) {
  sum[i] = value;
}

const LANES = 32u;
const VECTORS = 8u;

@compute @workgroup_size(64)
fn add_add_w32(
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
  store_sum(row * 8u + vector, load_a(row * 8u + vector) + load_b(row * 8u + vector) + load_addend(row * 8u + vector));
}
