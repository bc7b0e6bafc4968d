// rope_passing_w8_g2: Turns the pairs of every head by an angle that grows with the position.
//
// formula:  y = x
// source:   Su et al., arXiv:2104.09864; layout half as in Llama, interleaved as in DeepSeek
// operands: x     f32 rows of 24, 24 values apart
//           y     f32 rows of 24, 24 values apart
//           rows  u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[0..2].attention.q_up fprop (model.attention.rope)
//           mtp[0].attention.q_up fprop (model.attention.rope)
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

const LANES = 8u;
const VECTORS = 2u;

@compute @workgroup_size(64)
fn rope_passing_w8_g2(
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
  store_y(o * 6u + g * 3u + vector, load_x(o * 6u + g * 3u + vector));
}
