// balance_loss_backward_w8: Gradients of balance_loss by scores.
//
// formula:  d_scores = d_loss * (fractions - sum(scores * fractions) / sum(scores)) / sum(scores)
// source:   gradient of DeepSeek-V3, arXiv:2412.19437, equations 17 to 20; Switch Transformer, arXiv:2101.03961, equation 4
// operands: scores     f32 rows of 8, 8 values apart
//           fractions  f32 rows of 8, 8 values apart
//           d_loss     f32 vector
//           d_scores   f32 rows of 8, 8 values apart
//           rows       u32, rows of this run
// tile:     one row per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[1..2].ffn.router dgrad (model.ffn.router.losses.sequence)
//           mtp[0].ffn.router dgrad (model.ffn.router.losses.sequence)
// spec:     tiny-experts
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> scores: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> fractions: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> d_loss: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> d_scores: array<vec4f>;
@group(0) @binding(4) var<uniform> words: Words;

fn load_scores(i: u32) -> vec4f {
  return scores[i];
}

fn load_fractions(i: u32) -> vec4f {
  return fractions[i];
}

fn d_loss_at(i: u32) -> f32 {
  return d_loss[i / 4u][i % 4u];
}

fn store_d_scores(i: u32, value: vec4f) {
  d_scores[i] = value;
}

const LANES = 8u;
const VECTORS = 2u;

@compute @workgroup_size(64)
fn balance_loss_backward_w8(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let row_tile = tile * 64u + thread;
  let first = row_tile * 1u;
  let end = min(first + 1u, words.rows);
  for (var row = first; row < end; row++) {
    // phase 1: sum of the row, sum of the row
    let d_loss_2 = d_loss_at(row);
    var sum_part = vec4f(0.0);
    var sum_part_2 = vec4f(0.0);
    for (var vector = 0u; vector < VECTORS; vector++) {
      let scores_2 = load_scores(row * 2u + vector);
      sum_part += scores_2;
      sum_part_2 += scores_2 * load_fractions(row * 2u + vector);
    }
    let sum = (sum_part.x + sum_part.y) + (sum_part.z + sum_part.w);
    let sum_2 = (sum_part_2.x + sum_part_2.y) + (sum_part_2.z + sum_part_2.w);
    // phase 2: d_scores
    let reciprocal = 1.0f / sum;
    let multiply = reciprocal * sum_2;
    let multiply_2 = reciprocal * d_loss_2;
    for (var vector = 0u; vector < VECTORS; vector++) {
      store_d_scores(row * 2u + vector, (load_fractions(row * 2u + vector) - multiply) * multiply_2);
    }
  }
}
