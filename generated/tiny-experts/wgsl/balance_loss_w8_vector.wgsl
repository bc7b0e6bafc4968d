// balance_loss_w8_vector: Each token's part of the balance loss: its shares of the experts by how often these are chosen.
//
// formula:  loss = sum(scores * fractions) / sum(scores)
// source:   DeepSeek-V3, arXiv:2412.19437, equations 17 to 20; Switch Transformer, arXiv:2101.03961, equation 4
// operands: scores     f32 rows of 8, 8 values apart
//           fractions  f32 rows of 8, 8 values apart
//           loss       f32 vector
//           rows       u32, rows of this run
// tile:     one row per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[1..2].ffn.router fprop (model.ffn.router.losses.sequence)
//           mtp[0].ffn.router fprop (model.ffn.router.losses.sequence)
// spec:     tiny-experts
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> scores: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> fractions: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
@group(0) @binding(3) var<uniform> words: Words;

fn load_scores(i: u32) -> vec4f {
  return scores[i];
}

fn load_fractions(i: u32) -> vec4f {
  return fractions[i];
}

fn put_loss(i: u32, value: f32) {
  loss[i] = value;
}

const LANES = 8u;
const VECTORS = 2u;

@compute @workgroup_size(64)
fn balance_loss_w8_vector(
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
    var sum_part = vec4f(0.0);
    var sum_part_2 = vec4f(0.0);
    for (var vector = 0u; vector < VECTORS; vector++) {
      let scores_2 = load_scores(row * 2u + vector);
      sum_part += scores_2 * load_fractions(row * 2u + vector);
      sum_part_2 += scores_2;
    }
    let sum = (sum_part.x + sum_part.y) + (sum_part.z + sum_part.w);
    let sum_2 = (sum_part_2.x + sum_part_2.y) + (sum_part_2.z + sum_part_2.w);
    // phase 2: loss
    let reciprocal = 1.0f / sum_2;
    let multiply = sum * reciprocal;
    put_loss(row, multiply);
  }
}
