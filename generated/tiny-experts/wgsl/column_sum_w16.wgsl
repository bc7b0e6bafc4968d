// column_sum_w16: Adds partial sums of columns, in order.
//
// formula:  out[c] = Σ_r parts[r, c], in ascending r
// source:   sum over rows in fixed chunks
// operands: parts  f32 rows of 16, 16 values apart
//           out    f32 vector
//           rows   u32, rows of parts of this run
// tile:     four columns per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[0..2].attention.kv_norm dgrad (model.norm)
//           mtp[0].attention.kv_norm dgrad (model.norm)
// spec:     tiny-experts
// template: templates/wgsl/column-sum.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> parts: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<uniform> words: Words;

fn load_parts(i: u32) -> vec4f {
  return parts[i];
}

fn store_out(i: u32, value: vec4f) {
  out[i] = value;
}

const VECTORS = 4u;
const PITCH = 4u;

@compute @workgroup_size(64)
fn column_sum_w16(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let column = tile * 64u + thread;
  if (column >= VECTORS) {
    return;
  }
  var sum = vec4f(0.0);
  for (var row = 0u; row < words.rows; row++) {
    sum += load_parts(row * PITCH + column);
  }
  store_out(column, sum);
}
