// router_backward_e8k2_normalized: The gradient of the scores through the weights of the chosen experts; 0 for all others.
//
// formula:  with s = Σ_chosen scores: d_scores[e] = scale / s · (d_weights[e] - Σ_chosen d_weights · scores / s)
// source:   DeepSeek-V3, arXiv:2412.19437, section 2.1.2; Shazeer et al., arXiv:1701.06538
// operands: d_weights  f32 rows of 2, 4 values apart
//           index      i32 rows of 2, 4 values apart
//           scores     f32 rows of 8, 8 values apart
//           d_scores   f32 rows of 8, 8 values apart
//           rows       u32, rows of this run
// tile:     four experts of a row per thread
// chosen:   a row touches its own experts only
// used by:  layers[1..2].ffn.router dgrad (model.ffn.router)
//           mtp[0].ffn.router dgrad (model.ffn.router)
// spec:     tiny-experts
// template: templates/wgsl/router-backward.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> d_weights: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> index: array<i32>;
@group(0) @binding(2) var<storage, read_write> scores: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> d_scores: array<vec4f>;
@group(0) @binding(4) var<uniform> words: Words;

fn d_weights_at(i: u32) -> f32 {
  return d_weights[i / 4u][i % 4u];
}

fn index_at(i: u32) -> i32 {
  return index[i];
}

fn scores_at(i: u32) -> f32 {
  return scores[i / 4u][i % 4u];
}

fn store_d_scores(i: u32, value: vec4f) {
  d_scores[i] = value;
}

const TOP_K = 2u;
const VECTORS = 2u;
const D_WEIGHTS_PITCH = 4u;
const INDEX_PITCH = 4u;
const OUT_PITCH = 2u;
const SCALE: f32 = 2.5;
const SCORES_PITCH = 8u;
const FLOOR: f32 = 1e-20;

@compute @workgroup_size(64)
fn router_backward_e8k2_normalized(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let item = tile * 64u + thread;
  let row = item / VECTORS;
  let vector = item % VECTORS;
  if (row >= words.rows) {
    return;
  }
  // The sum of the chosen scores, and the mean of the weights' gradients by these: cheaper twice than shared.
  var sum = FLOOR;
  var mean = 0.0;
  for (var k = 0u; k < TOP_K; k++) {
    let score = scores_at(row * SCORES_PITCH + u32(index_at(row * INDEX_PITCH + k)));
    sum += score;
    mean += score * d_weights_at(row * D_WEIGHTS_PITCH + k);
  }
  mean /= sum;
  // Experts that were not chosen have no gradient.
  var gradient = vec4f(0.0);
  let experts = vec4i(i32(4u * vector)) + vec4i(0, 1, 2, 3);
  for (var k = 0u; k < TOP_K; k++) {
    let d = d_weights_at(row * D_WEIGHTS_PITCH + k);
    let is_chosen = experts == vec4i(index_at(row * INDEX_PITCH + k));
    gradient = select(gradient, vec4f((d - mean) / sum * SCALE), is_chosen);
  }
  store_d_scores(row * OUT_PITCH + vector, gradient);
}
