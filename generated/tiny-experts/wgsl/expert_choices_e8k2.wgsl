// expert_choices_e8k2: Which experts have the greatest scores of each row.
//
// formula:  chosen = the 2 greatest scores, the smaller index of equal ones
// source:   f of the sequence-wise balance loss, DeepSeek-V3, arXiv:2412.19437, equation 18
// operands: scores  f32 rows of 8, 8 values apart
//           chosen  i32 rows of 2, 4 values apart
//           rows    u32, rows of this run
// tile:     one row per thread
// chosen:   a tile counts the rows of one sequence
// used by:  layers[1..2].ffn.router fprop (model.ffn.router.losses.sequence)
//           mtp[0].ffn.router fprop (model.ffn.router.losses.sequence)
// spec:     tiny-experts
// template: templates/wgsl/expert-choices.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> scores: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> chosen: array<i32>;
@group(0) @binding(2) var<uniform> words: Words;

fn scores_at(i: u32) -> f32 {
  return scores[i / 4u][i % 4u];
}

fn put_chosen(i: u32, value: i32) {
  chosen[i] = value;
}

const EXPERTS = 8u;
const TOP_K = 2u;
const SCORES_PITCH = 8u;
const CHOSEN_PITCH = 4u;

/// A number that orders as its float does: 0 and -0 alike, NaN below every number and above what is masked.
fn order_key(value: f32) -> i32 {
  let bits = bitcast<i32>(value);
  let magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) {
    return -2147483647;
  }
  return select(bits ^ ((bits >> 31u) & 0x7fffffff), 0, magnitude == 0);
}

/// Stands for masked: lower than the key of any number.
const MASKED = -2147483647 - 1;

/// The place of the greatest key, the first of equal ones; it is masked from then on.
fn take(keys: ptr<function, array<i32, EXPERTS>>) -> u32 {
  var best = 0u;
  var most = MASKED;
  for (var e = 0u; e < EXPERTS; e++) {
    if ((*keys)[e] > most) {
      most = (*keys)[e];
      best = e;
    }
  }
  (*keys)[best] = MASKED;
  return best;
}

@compute @workgroup_size(64)
fn expert_choices_e8k2(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let row = tile * 64u + thread;
  if (row >= words.rows) {
    return;
  }
  var keys: array<i32, EXPERTS>;
  for (var e = 0u; e < EXPERTS; e++) {
    keys[e] = order_key(scores_at(row * SCORES_PITCH + e));
  }
  for (var k = 0u; k < TOP_K; k++) {
    put_chosen(row * CHOSEN_PITCH + k, i32(take(&keys)));
  }
}
