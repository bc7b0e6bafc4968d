// rms_norm_w24: Scales every row to root mean square 1, then by a gain per column.
//
// formula:  let scale = rsqrt(sum(x^2) / columns + 0.00001); y = x * gain * rsqrt(sum(x^2) / columns + 0.00001); r = rsqrt(sum(x^2) / columns + 0.00001)
// source:   Zhang and Sennrich, arXiv:1910.07467
// operands: x     f32 rows of 24, 24 values apart
//           gain  f32 vector
//           y     f32 rows of 24, 24 values apart
//           r     f32 vector
//           rows  u32, rows of this run
// tile:     one row per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[0..2].attention.q_norm fprop (model.norm)
//           mtp[0].attention.q_norm fprop (model.norm)
// spec:     tiny-experts
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> gain: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> r: array<f32>;
@group(0) @binding(4) var<uniform> words: Words;

fn load_x(i: u32) -> vec4f {
  return x[i];
}

fn load_gain(i: u32) -> vec4f {
  return gain[i];
}

fn store_y(i: u32, value: vec4f) {
  y[i] = value;
}

fn put_r(i: u32, value: f32) {
  r[i] = value;
}

const LANES = 24u;
const VECTORS = 6u;

@compute @workgroup_size(64)
fn rms_norm_w24(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let row_tile = tile * 64u + thread;
  let first = row_tile * 1u;
  let end = min(first + 1u, words.rows);
  let count = 24.0f;
  let reciprocal = 1.0f / count;
  for (var row = first; row < end; row++) {
    // phase 1: sum of the row
    var sum_part = vec4f(0.0);
    for (var vector = 0u; vector < VECTORS; vector++) {
      let x_2 = load_x(row * 6u + vector);
      sum_part += x_2 * x_2;
    }
    let sum = (sum_part.x + sum_part.y) + (sum_part.z + sum_part.w);
    // phase 2: r, y
    let multiply = reciprocal * sum;
    let add = 0.000009999999747378752f + multiply;
    let scale = inverseSqrt(add);
    put_r(row, scale);
    for (var vector = 0u; vector < VECTORS; vector++) {
      store_y(row * 6u + vector, load_x(row * 6u + vector) * load_gain(vector) * scale);
    }
  }
}
