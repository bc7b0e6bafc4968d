// add_add_w64_vector: Adds two tensors of one shape, with addend added to sum.
//
// formula:  sum = a + b + addend
// source:   residual connection, He et al., arXiv:1512.03385
// operands: a       f32 vector
//           b       f32 vector
//           addend  f32 vector
//           sum     f32 vector
//           rows    u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  loss fprop (model.ffn.router.losses)
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

const LANES = 64u;
const VECTORS = 16u;

@compute @workgroup_size(64)
fn add_add_w64_vector(
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
  store_sum(row * 16u + vector, load_a(row * 16u + vector) + load_b(row * 16u + vector) + load_addend(row * 16u + vector));
}
