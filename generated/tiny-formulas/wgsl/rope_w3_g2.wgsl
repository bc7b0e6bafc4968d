// rope_w3_g2: Turns the pairs of every head by an angle that grows with the position.
//
// formula:  y0 = x0 * cos - x1 * sin; y1 = x0 * sin + x1 * cos
// source:   Su et al., arXiv:2104.09864; layout half as in Llama, interleaved as in DeepSeek
// operands: x     f32 rows of 12, 12 values apart
//           cos   f32 rows of 3, 4 values apart
//           sin   f32 rows of 3, 4 values apart
//           y     f32 rows of 12, 12 values apart
//           rows  u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[0..1].attention.k fprop (model.attention.rope)
// spec:     tiny-formulas
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> cos_: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> sin_: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> words: Words;

fn x_at(i: u32) -> f32 {
  return x[i / 4u][i % 4u];
}

fn load_cos(i: u32) -> vec4f {
  return cos_[i];
}

fn load_sin(i: u32) -> vec4f {
  return sin_[i];
}

fn put_y(i: u32, value: f32) {
  y[i] = value;
}

const LANES = 3u;
const VECTORS = 1u;

@compute @workgroup_size(64)
fn rope_w3_g2(
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
  let x0 = vec4f(x_at(o * 12u + g * 6u + 8u * vector), x_at(o * 12u + g * 6u + 8u * vector + 2u), x_at(o * 12u + g * 6u + 8u * vector + 4u), x_at(o * 12u + g * 6u + 8u * vector + 6u));
  let cos__2 = load_cos(o + vector);
  let x1 = vec4f(x_at(o * 12u + g * 6u + 1u + 8u * vector), x_at(o * 12u + g * 6u + 1u + 8u * vector + 2u), x_at(o * 12u + g * 6u + 1u + 8u * vector + 4u), x_at(o * 12u + g * 6u + 1u + 8u * vector + 6u));
  let sin__2 = load_sin(o + vector);
  let y0_values = x0 * cos__2 - x1 * sin__2;
  put_y(o * 12u + g * 6u + 8u * vector, y0_values[0]);
  if (4u * vector + 1u < LANES) {
    put_y(o * 12u + g * 6u + 8u * vector + 2u, y0_values[1]);
  }
  if (4u * vector + 2u < LANES) {
    put_y(o * 12u + g * 6u + 8u * vector + 4u, y0_values[2]);
  }
  if (4u * vector + 3u < LANES) {
    put_y(o * 12u + g * 6u + 8u * vector + 6u, y0_values[3]);
  }
  let y1_values = x0 * sin__2 + cos__2 * x1;
  put_y(o * 12u + g * 6u + 1u + 8u * vector, y1_values[0]);
  if (4u * vector + 1u < LANES) {
    put_y(o * 12u + g * 6u + 1u + 8u * vector + 2u, y1_values[1]);
  }
  if (4u * vector + 2u < LANES) {
    put_y(o * 12u + g * 6u + 1u + 8u * vector + 4u, y1_values[2]);
  }
  if (4u * vector + 3u < LANES) {
    put_y(o * 12u + g * 6u + 1u + 8u * vector + 6u, y1_values[3]);
  }
}
