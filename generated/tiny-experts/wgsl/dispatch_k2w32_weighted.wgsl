// dispatch_k2w32_weighted: Copies every token's row, times the choice's weight, to each of its experts; rows of nobody are 0.
//
// formula:  rows[r] = weights[source[r]] · x[source[r] / top_k], or 0 where source[r] < 0
// source:   gradient of a weighted sum of experts; Shazeer et al., arXiv:1701.06538; DeepSeekMoE, arXiv:2401.06066
// operands: x        f32 rows of 32, 32 values apart
//           source   i32 vector
//           weights  f32 rows of 2, 4 values apart
//           rows     f32 rows of 32, 32 values apart
//           rows     u32, routed rows of this run
// tile:     four elements per thread
// chosen:   it copies rows by index, each times a number
// used by:  layers[1..2].ffn.combine dgrad (model.ffn.experts)
//           mtp[0].ffn.combine dgrad (model.ffn.experts)
// spec:     tiny-experts
// template: templates/wgsl/dispatch.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> source: array<i32>;
@group(0) @binding(2) var<storage, read_write> weights: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> rows: array<vec4f>;
@group(0) @binding(4) var<uniform> words: Words;

fn load_x(i: u32) -> vec4f {
  return x[i];
}

fn source_at(i: u32) -> i32 {
  return source[i];
}

fn weights_at(i: u32) -> f32 {
  return weights[i / 4u][i % 4u];
}

fn store_rows(i: u32, value: vec4f) {
  rows[i] = value;
}

const VECTORS = 8u;
/// Threads that share a row.
const LANES = 8u;
const TOP_K = 2u;
const X_PITCH = 8u;
const ROWS_PITCH = 8u;

@compute @workgroup_size(64)
fn dispatch_k2w32_weighted(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let item = tile * 64u + thread;
  let row = item / LANES;
  if (row >= words.rows) {
    return;
  }
  // A choice is token * TOP_K + k, or negative: nobody's row.
  let choice = source_at(row);
  let token = u32(max(choice, 0)) / TOP_K;
  let weight = weights_at(token * 4u + u32(max(choice, 0)) % TOP_K);
  for (var vector = item % LANES; vector < VECTORS; vector += LANES) {
    var value = vec4f(0.0);
    if (choice >= 0) {
      value = weight * load_x(token * X_PITCH + vector);
    }
    store_rows(row * ROWS_PITCH + vector, value);
  }
}
