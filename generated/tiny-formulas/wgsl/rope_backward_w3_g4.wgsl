// rope_backward_w3_g4: Gradients of rope by x0, x1.
//
// formula:  d_x0 = sin * d_y1 + cos * d_y0; d_x1 = cos * d_y1 - sin * d_y0
// source:   gradient of Su et al., arXiv:2104.09864; layout half as in Llama, interleaved as in DeepSeek
// operands: cos   f32 rows of 3, 4 values apart
//           sin   f32 rows of 3, 4 values apart
//           d_y   f32 rows of 24, 24 values apart
//           d_x   f32 rows of 24, 24 values apart
//           rows  u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[0..1].attention.q dgrad (model.attention.rope)
// spec:     tiny-formulas
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> cos_: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> sin_: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> d_y: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> d_x: array<f32>;
@group(0) @binding(4) var<uniform> words: Words;

fn load_cos(i: u32) -> vec4f {
  return cos_[i];
}

fn load_sin(i: u32) -> vec4f {
  return sin_[i];
}

fn d_y_at(i: u32) -> f32 {
  return d_y[i / 4u][i % 4u];
}

fn put_d_x(i: u32, value: f32) {
  d_x[i] = value;
}

const LANES = 3u;
const VECTORS = 1u;

@compute @workgroup_size(64)
fn rope_backward_w3_g4(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let index = tile * 64u + thread;
  let row = index / VECTORS;
  let vector = index % VECTORS;
  if (row >= words.rows * 4u) {
    return;
  }
  let o = row / 4u;
  let g = row % 4u;
  let sin__2 = load_sin(o + vector);
  let d_y1 = vec4f(d_y_at(o * 24u + g * 6u + 1u + 8u * vector), d_y_at(o * 24u + g * 6u + 1u + 8u * vector + 2u), d_y_at(o * 24u + g * 6u + 1u + 8u * vector + 4u), d_y_at(o * 24u + g * 6u + 1u + 8u * vector + 6u));
  let cos__2 = load_cos(o + vector);
  let d_y0 = vec4f(d_y_at(o * 24u + g * 6u + 8u * vector), d_y_at(o * 24u + g * 6u + 8u * vector + 2u), d_y_at(o * 24u + g * 6u + 8u * vector + 4u), d_y_at(o * 24u + g * 6u + 8u * vector + 6u));
  let d_x0_values = sin__2 * d_y1 + cos__2 * d_y0;
  put_d_x(o * 24u + g * 6u + 8u * vector, d_x0_values[0]);
  if (4u * vector + 1u < LANES) {
    put_d_x(o * 24u + g * 6u + 8u * vector + 2u, d_x0_values[1]);
  }
  if (4u * vector + 2u < LANES) {
    put_d_x(o * 24u + g * 6u + 8u * vector + 4u, d_x0_values[2]);
  }
  if (4u * vector + 3u < LANES) {
    put_d_x(o * 24u + g * 6u + 8u * vector + 6u, d_x0_values[3]);
  }
  let d_x1_values = d_y1 * cos__2 - sin__2 * d_y0;
  put_d_x(o * 24u + g * 6u + 1u + 8u * vector, d_x1_values[0]);
  if (4u * vector + 1u < LANES) {
    put_d_x(o * 24u + g * 6u + 1u + 8u * vector + 2u, d_x1_values[1]);
  }
  if (4u * vector + 2u < LANES) {
    put_d_x(o * 24u + g * 6u + 1u + 8u * vector + 4u, d_x1_values[2]);
  }
  if (4u * vector + 3u < LANES) {
    put_d_x(o * 24u + g * 6u + 1u + 8u * vector + 6u, d_x1_values[3]);
  }
}
