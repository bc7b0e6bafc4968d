// combine_dots_k2w32: The gradient of a choice's weight: its row times the gradient of the token's sum.
//
// formula:  d_weights[t, k] = Σ_c d_y[t, c] · rows[place[t, k], c]
// source:   gradient of a weighted sum of experts; Shazeer et al., arXiv:1701.06538; DeepSeekMoE, arXiv:2401.06066
// operands: rows       f32 rows of 32, 32 values apart
//           d_y        f32 rows of 32, 32 values apart
//           place      i32 rows of 2, 4 values apart
//           d_weights  f32 rows of 2, 4 values apart
//           tokens     u32, tokens of this run
// tile:     one choice per thread
// chosen:   every token reads its own rows
// used by:  layers[1..2].ffn.combine dgrad (model.ffn.experts)
//           mtp[0].ffn.combine dgrad (model.ffn.experts)
// spec:     tiny-experts
// template: templates/wgsl/combine-dots.wgsl.hbs
struct Words {
  tokens: u32,
}

@group(0) @binding(0) var<storage, read_write> rows: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> d_y: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> place: array<i32>;
@group(0) @binding(3) var<storage, read_write> d_weights: array<f32>;
@group(0) @binding(4) var<uniform> words: Words;

fn load_rows(i: u32) -> vec4f {
  return rows[i];
}

fn load_d_y(i: u32) -> vec4f {
  return d_y[i];
}

fn place_at(i: u32) -> i32 {
  return place[i];
}

fn put_d_weights(i: u32, value: f32) {
  d_weights[i] = value;
}

const TOP_K = 2u;
const WIDTH = 32u;
const VECTORS = 8u;
const PLACE_PITCH = 4u;
const ROWS_PITCH = 8u;
const D_Y_PITCH = 8u;
const OUT_PITCH = 4u;

/// Four products of a routed row and a token's; what lies behind the last channel is nothing.
fn products(row: u32, token: u32, vector: u32) -> vec4f {
  let product = load_rows(row * ROWS_PITCH + vector) * load_d_y(token * D_Y_PITCH + vector);
  return product;
}

@compute @workgroup_size(64)
fn combine_dots_k2w32(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let choice = tile * 64u + thread;
  let token = choice / TOP_K;
  let k = choice % TOP_K;
  if (token >= words.tokens) {
    return;
  }
  let row = u32(place_at(token * PLACE_PITCH + k));
  var sum = vec4f(0.0);
  for (var vector = 0u; vector < VECTORS; vector++) {
    sum += products(row, token, vector);
  }
  put_d_weights(token * OUT_PITCH + k, (sum.x + sum.y) + (sum.z + sum.w));
}
