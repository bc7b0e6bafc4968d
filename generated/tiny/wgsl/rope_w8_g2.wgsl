// rope_w8_g2: Turns the pairs of every head by an angle that grows with the position.
//
// formula:  y0 = x0 * cos - x1 * sin; y1 = x0 * sin + x1 * cos
// source:   Su et al., arXiv:2104.09864; layout half as in Llama, interleaved as in DeepSeek
// operands: x     f32 rows of 32, 32 values apart
//           cos   f32 rows of 8, 8 values apart
//           sin   f32 rows of 8, 8 values apart
//           y     f32 rows of 32, 32 values apart
//           rows  u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[0..1].attention.q fprop (model.attention.rope)
// spec:     tiny
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> cos_: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> sin_: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<uniform> words: Words;

fn load_x(i: u32) -> vec4f {
  return x[i];
}

fn load_cos(i: u32) -> vec4f {
  return cos_[i];
}

fn load_sin(i: u32) -> vec4f {
  return sin_[i];
}

fn store_y(i: u32, value: vec4f) {
  y[i] = value;
}

const LANES = 8u;
const VECTORS = 2u;

@compute @workgroup_size(64)
fn rope_w8_g2(
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
  let x0 = load_x(o * 8u + g * 4u + vector);
  let cos__2 = load_cos(o * 2u + vector);
  let x1 = load_x(o * 8u + g * 4u + 2u + vector);
  let sin__2 = load_sin(o * 2u + vector);
  store_y(o * 8u + g * 4u + vector, x0 * cos__2 - x1 * sin__2);
  store_y(o * 8u + g * 4u + 2u + vector, x0 * sin__2 + cos__2 * x1);
}
