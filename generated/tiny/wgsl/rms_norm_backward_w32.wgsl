// rms_norm_backward_w32: Gradients of rms_norm by x, gain.
//
// formula:  d_x = r * (gain * d_y - x * sum(x * gain * d_y) * r^2 / columns); d_gain = column_sum(x * d_y * r)
// source:   gradient of Zhang and Sennrich, arXiv:1910.07467
// operands: x             f32 rows of 32, 32 values apart
//           gain          f32 vector
//           r             f32 vector
//           d_y           f32 rows of 32, 32 values apart
//           d_x           f32 rows of 32, 32 values apart
//           d_gain_parts  f32 rows of 32, 32 values apart
//           rows          u32, rows of this run
// tile:     32 rows per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  final_norm dgrad (model.norm)
// spec:     tiny
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> gain: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> r: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> d_y: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> d_x: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> d_gain_parts: array<vec4f>;
@group(0) @binding(6) var<uniform> words: Words;

fn load_x(i: u32) -> vec4f {
  return x[i];
}

fn load_gain(i: u32) -> vec4f {
  return gain[i];
}

fn r_at(i: u32) -> f32 {
  return r[i / 4u][i % 4u];
}

fn load_d_y(i: u32) -> vec4f {
  return d_y[i];
}

fn store_d_x(i: u32, value: vec4f) {
  d_x[i] = value;
}

fn load_d_gain_parts(i: u32) -> vec4f {
  return d_gain_parts[i];
}

fn store_d_gain_parts(i: u32, value: vec4f) {
  d_gain_parts[i] = value;
}

const LANES = 32u;
const VECTORS = 8u;

@compute @workgroup_size(64)
fn rms_norm_backward_w32(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let row_tile = tile * 64u + thread;
  let first = row_tile * 32u;
  let end = min(first + 32u, words.rows);
  let count = 32.0f;
  let reciprocal = 1.0f / count;
  for (var row = first; row < end; row++) {
    // phase 1: sum of the row, sums of d_gain
    let r_2 = r_at(row);
    let multiply = reciprocal * r_2;
    let multiply_2 = multiply * r_2;
    var sum_part = vec4f(0.0);
    for (var vector = 0u; vector < VECTORS; vector++) {
      let x_2 = load_x(row * 8u + vector);
      let d_y_2 = load_d_y(row * 8u + vector);
      sum_part += x_2 * (load_gain(vector) * d_y_2);
      store_d_gain_parts(row_tile * 8u + vector, d_y_2 * x_2 * r_2 + select(load_d_gain_parts(row_tile * 8u + vector), vec4f(0.0), row == first));
    }
    let sum = (sum_part.x + sum_part.y) + (sum_part.z + sum_part.w);
    // phase 2: d_x
    let multiply_3 = multiply_2 * sum;
    for (var vector = 0u; vector < VECTORS; vector++) {
      store_d_x(row * 8u + vector, (load_gain(vector) * load_d_y(row * 8u + vector) - load_x(row * 8u + vector) * multiply_3) * r_2);
    }
  }
}
