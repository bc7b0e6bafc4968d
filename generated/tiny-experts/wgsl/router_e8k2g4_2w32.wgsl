// router_e8k2g4_2w32: Chooses experts for every token, and their weights; a bias may steer the choice but not the weights.
//
// formula:  logits = x · weightᵀ; score = sigmoid(logit) of every row; index = the 2 greatest scores + choice_bias within the 2 of 4 groups with the greatest sum of their two greatest, the smaller index of equal ones; weights = scores[index] / Σ_chosen scores · 2.5
// source:   DeepSeek-V3, arXiv:2412.19437, section 2.1.2; Shazeer et al., arXiv:1701.06538
// operands: x            f32 rows of 32, 32 values apart
//           weight       f32 rows of 32, 32 values apart
//           choice_bias  f32 vector
//           logits       f32 rows of 8, 8 values apart
//           scores       f32 rows of 8, 8 values apart
//           index        i32 rows of 2, 4 values apart
//           weights      f32 rows of 2, 4 values apart
//           rows         u32, rows of this run
// tile:     16 rows per workgroup of 32: products of 2 rows and 4 experts per thread, then a row per thread
// chosen:   logits, scores and choice in one kernel, whose sums do not depend on how many rows there are
// used by:  layers[1..2].ffn.router fprop (model.ffn.router)
//           mtp[0].ffn.router fprop (model.ffn.router)
// spec:     tiny-experts
// template: templates/wgsl/router-tiled.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> choice_bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> logits: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> scores: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> index: array<i32>;
@group(0) @binding(6) var<storage, read_write> weights: array<f32>;
@group(0) @binding(7) var<uniform> words: Words;

fn load_x(i: u32) -> vec4f {
  return x[i];
}

fn load_weight(i: u32) -> vec4f {
  return weight[i];
}

fn choice_bias_at(i: u32) -> f32 {
  return choice_bias[i / 4u][i % 4u];
}

fn load_logits(i: u32) -> vec4f {
  return logits[i];
}

fn store_logits(i: u32, value: vec4f) {
  logits[i] = value;
}

fn scores_at(i: u32) -> f32 {
  return scores[i / 4u][i % 4u];
}

fn store_scores(i: u32, value: vec4f) {
  scores[i] = value;
}

fn put_index(i: u32, value: i32) {
  index[i] = value;
}

fn put_weights(i: u32, value: f32) {
  weights[i] = value;
}

/// A question to the bits: compilers may assume that there is no NaN.
fn is_nan4(x: vec4f) -> vec4<bool> {
  return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

/// e^x = 2^n e^r with |r| <= ln 2 / 2; 2^n in two factors, so that neither overflows before its time.
fn exp4(x: vec4f) -> vec4f {
  let bounded = clamp(x, vec4f(-104.0), vec4f(89.0));
  let n = floor(bounded * 1.4426950408889634 + 0.5);
  let r = (bounded - n * 0.693359375) - n * -2.1219444e-4;
  let mantissa = r * r * ((((0.0013814320554956794 * r + 0.00836885068565607) * r + 0.041668400168418884) * r + 0.1666651964187622) * r + 0.4999999403953552) + r + 1.0;
  let half = vec4i(n) >> vec4u(1u);
  let rest = vec4i(n) - half;
  let low = bitcast<vec4f>((half + 127) << vec4u(23u));
  let high = bitcast<vec4f>((rest + 127) << vec4u(23u));
  return select(mantissa * low * high, x, is_nan4(x));
}

fn sigmoid4(x: vec4f) -> vec4f {
  return 1.0 / (1.0 + exp4(-x));
}

const LANES = 8u;
const VECTORS = 2u;
const WIDTH = 32u;
const CHANNEL_VECTORS = 8u;
const X_PITCH = 8u;
const WEIGHT_PITCH = 8u;
const LOGITS_PITCH = 2u;
const THREADS = 32u;
/// Rows of a workgroup; a thread has two of them, ROWS / 2 apart, and four experts.
const ROWS = 16u;
const PAIRS = ROWS / 2u;
/// Vectors of experts at a time, and vectors of channels at a time.
const EXPERT_VECTORS = 4u;
const DEPTH = 8u;
/// One more than DEPTH, so that neighbours in a column lie in different banks.
const STRIDE = 9u;

const EXPERTS = 8u;
const TOP_K = 2u;
const SCORES_PITCH = 8u;
const INDEX_PITCH = 4u;
const WEIGHTS_PITCH = 4u;
const SCALE: f32 = 2.5;
/// Added to the sum that weights are divided by.
const FLOOR: f32 = 1e-20;
const GROUPS = 4u;
const GROUP_EXPERTS = 2u;
const KEEP = 2u;
const LOWEST = -3.4028234663852886e38;

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

/// What is compared: the bias steers the choice, not the weight.
fn choice_value(row: u32, e: u32) -> f32 {
  return scores_at(row * SCORES_PITCH + e) + choice_bias_at(e);
}

/// Masks the experts of all groups but the best KEEP ones.
fn mask_groups(row: u32, keys: ptr<function, array<i32, EXPERTS>>) {
  var group_keys: array<i32, GROUPS>;
  for (var group = 0u; group < GROUPS; group++) {
    // The two greatest, chosen by keys: comparisons of floats may forget NaN.
    var first = LOWEST;
    var second = LOWEST;
    for (var e = group * GROUP_EXPERTS; e < (group + 1u) * GROUP_EXPERTS; e++) {
      let key = (*keys)[e];
      if (key > order_key(first)) {
        second = first;
        first = choice_value(row, e);
      } else if (key > order_key(second)) {
        second = choice_value(row, e);
      }
    }
    group_keys[group] = order_key(first + second);
  }
  // Groups that are kept are masked themselves: what is left is not kept.
  for (var kept = 0u; kept < KEEP; kept++) {
    var best = 0u;
    for (var group = 1u; group < GROUPS; group++) {
      if (group_keys[group] > group_keys[best]) {
        best = group;
      }
    }
    group_keys[best] = MASKED;
  }
  for (var e = 0u; e < EXPERTS; e++) {
    if (group_keys[e / GROUP_EXPERTS] != MASKED) {
      (*keys)[e] = MASKED;
    }
  }
}

/// The experts of a row of scores, and their weights.
fn choose(row: u32) {
  var keys: array<i32, EXPERTS>;
  for (var e = 0u; e < EXPERTS; e++) {
    keys[e] = order_key(choice_value(row, e));
  }
  mask_groups(row, &keys);
  var chosen: array<u32, TOP_K>;
  var sum = 0.0;
  for (var k = 0u; k < TOP_K; k++) {
    chosen[k] = take(&keys);
    sum += scores_at(row * SCORES_PITCH + chosen[k]);
    put_index(row * INDEX_PITCH + k, i32(chosen[k]));
  }
  for (var k = 0u; k < TOP_K; k++) {
    let score = scores_at(row * SCORES_PITCH + chosen[k]);
    put_weights(row * WEIGHTS_PITCH + k, score / (sum + FLOOR) * SCALE);
  }
}

/// The scores of a row of logits.
fn write_scores(row: u32) {
  // phase 1: score
  for (var vector = 0u; vector < VECTORS; vector++) {
    store_scores(row * 2u + vector, sigmoid4(load_logits(row * 2u + vector)));
  }
}

/// Four channels of a row; what lies behind the last one is nothing.
fn channels(values: vec4f, vector: u32) -> vec4f {
  return values;
}

/// Where an expert's weights begin; experts behind the last one are the last one again.
fn weight_row(e: u32) -> u32 {
  return min(e, EXPERTS - 1u) * WEIGHT_PITCH;
}

// [ROWS, DEPTH] channels of the rows, and [4 EXPERT_VECTORS, STRIDE] of the experts: expert 4 v + j lies in row
// j EXPERT_VECTORS + v, so that threads side by side read rows side by side.
var<workgroup> x_tile: array<vec4f, ROWS * DEPTH>;
var<workgroup> weight_tile: array<vec4f, 4u * EXPERT_VECTORS * STRIDE>;

/// Fills both tiles: neighbouring threads read neighbouring channels.
fn fill_tiles(thread: u32, first_row: u32, first_vector: u32, first_channel: u32) {
  for (var at = thread; at < ROWS * DEPTH; at += THREADS) {
    let i = first_channel + at % DEPTH;
    var value = vec4f(0.0);
    if (i < CHANNEL_VECTORS) {
      value = channels(load_x(min(first_row + at / DEPTH, words.rows - 1u) * X_PITCH + i), i);
    }
    x_tile[at] = value;
  }
  for (var at = thread; at < 4u * EXPERT_VECTORS * DEPTH; at += THREADS) {
    let i = first_channel + at % DEPTH;
    let tile_row = at / DEPTH;
    let e = 4u * (first_vector + tile_row % EXPERT_VECTORS) + tile_row / EXPERT_VECTORS;
    var value = vec4f(0.0);
    if (i < CHANNEL_VECTORS) {
      value = channels(load_weight(weight_row(e) + i), i);
    }
    weight_tile[tile_row * STRIDE + at % DEPTH] = value;
  }
}

fn sum_of(parts: vec4f) -> f32 {
  return (parts.x + parts.y) + (parts.z + parts.w);
}

fn put_logits(row: u32, vector: u32, value: vec4f) {
  if (row < words.rows && vector < VECTORS) {
    store_logits(row * LOGITS_PITCH + vector, value);
  }
}

/// The logits of all rows for 4 EXPERT_VECTORS experts; each is summed over the channels in four lanes, in order.
fn write_logits(thread: u32, first_row: u32, first_vector: u32) {
  let pair = thread / EXPERT_VECTORS;
  let lane = thread % EXPERT_VECTORS;
  var sums = array<vec4f, 8>();
  for (var first_channel = 0u; first_channel < CHANNEL_VECTORS; first_channel += DEPTH) {
    // Whoever still reads the last tiles goes first.
    workgroupBarrier();
    fill_tiles(thread, first_row, first_vector, first_channel);
    // Every thread reads what others have filled in.
    workgroupBarrier();
    for (var i = 0u; i < DEPTH; i++) {
      let upper = x_tile[pair * DEPTH + i];
      let lower = x_tile[(pair + PAIRS) * DEPTH + i];
      for (var j = 0u; j < 4u; j++) {
        let w = weight_tile[(j * EXPERT_VECTORS + lane) * STRIDE + i];
        sums[j] += upper * w;
        sums[j + 4u] += lower * w;
      }
    }
  }
  let row = first_row + pair;
  let vector = first_vector + lane;
  put_logits(row, vector, vec4f(sum_of(sums[0]), sum_of(sums[1]), sum_of(sums[2]), sum_of(sums[3])));
  put_logits(row + PAIRS, vector, vec4f(sum_of(sums[4]), sum_of(sums[5]), sum_of(sums[6]), sum_of(sums[7])));
}

@compute @workgroup_size(32)
fn router_e8k2g4_2w32(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let first_row = tile * ROWS;
  if (first_row >= words.rows) {
    return;
  }
  for (var first_vector = 0u; first_vector < VECTORS; first_vector += EXPERT_VECTORS) {
    write_logits(thread, first_row, first_vector);
  }
  // One thread reads the logits of a whole row, which many have written.
  storageBarrier();
  let row = first_row + thread;
  if (thread < ROWS && row < words.rows) {
    write_scores(row);
    choose(row);
  }
}
