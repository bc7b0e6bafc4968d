// loads_w8_vector: How many choices each expert got, as numbers that can be added up.
//
// formula:  y = count
// source:   load of an expert: Wang et al., arXiv:2408.15664
// operands: count    i32 vector
//           y_parts  f32 rows of 8, 8 values apart
//           rows     u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[1..2].ffn.router fprop (model.ffn.router)
//           mtp[0].ffn.router fprop (model.ffn.router)
// spec:     tiny-experts
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> count: array<vec4i>;
@group(0) @binding(1) var<storage, read_write> y_parts: array<vec4f>;
@group(0) @binding(2) var<uniform> words: Words;

fn load_count(i: u32) -> vec4i {
  return count[i];
}

fn load_y_parts(i: u32) -> vec4f {
  return y_parts[i];
}

fn store_y_parts(i: u32, value: vec4f) {
  y_parts[i] = value;
}

const LANES = 8u;
const VECTORS = 2u;

@compute @workgroup_size(64)
fn loads_w8_vector(
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
  store_y_parts(vector, vec4f(load_count(vector)));
}
