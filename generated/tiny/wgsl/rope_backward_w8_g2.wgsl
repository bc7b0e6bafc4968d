// rope_backward_w8_g2: Gradients of rope by x0, x1.
//
// formula:  d_x0 = sin * d_y1 + cos * d_y0; d_x1 = cos * d_y1 - sin * d_y0
// source:   gradient of Su et al., arXiv:2104.09864; layout half as in Llama, interleaved as in DeepSeek
// operands: cos   f32 rows of 8, 8 values apart
//           sin   f32 rows of 8, 8 values apart
//           d_y   f32 rows of 32, 32 values apart
//           d_x   f32 rows of 32, 32 values apart
//           rows  u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[0..1].attention.q dgrad (model.attention.rope)
// spec:     tiny
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> cos_: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> sin_: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> d_y: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> d_x: array<vec4f>;
@group(0) @binding(4) var<uniform> words: Words;

fn load_cos(i: u32) -> vec4f {
  return cos_[i];
}

fn load_sin(i: u32) -> vec4f {
  return sin_[i];
}

fn load_d_y(i: u32) -> vec4f {
  return d_y[i];
}

fn store_d_x(i: u32, value: vec4f) {
  d_x[i] = value;
}

const LANES = 8u;
const VECTORS = 2u;

@compute @workgroup_size(64)
fn rope_backward_w8_g2(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let index = tile * 64u + thread;
  let row = index / VECTORS;
  let vector = index % VECTORS;
  if (row >= words.rows * 2u) {
    return;
  }
  let o = row / 2u;
  let g = row % 2u;
  let sin__2 = load_sin(o * 2u + vector);
  let d_y1 = load_d_y(o * 8u + g * 4u + 2u + vector);
  let cos__2 = load_cos(o * 2u + vector);
  let d_y0 = load_d_y(o * 8u + g * 4u + vector);
  store_d_x(o * 8u + g * 4u + vector, sin__2 * d_y1 + cos__2 * d_y0);
  store_d_x(o * 8u + g * 4u + 2u + vector, d_y1 * cos__2 - sin__2 * d_y0);
}
