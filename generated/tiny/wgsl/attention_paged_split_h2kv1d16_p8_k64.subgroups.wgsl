// attention_paged_split_h2kv1d16_p8_k64: Attention of single new tokens over a part of their sequence's keys.
//
// formula:  of 64 keys: the largest score m, Σ exp(score - m), Σ exp(score - m) v
// source:   Dao et al., Flash-Decoding, 2023
// operands: q           f32 rows of 32, 32 values apart
//           k           f32 rows of 16, 16 values apart
//           v           f32 rows of 16, 16 values apart
//           positions   i32 vector
//           page_table  i32 rows of 8, 8 values apart
//           row_tiles   i32 rows of 4, 4 values apart
//           partials    f32 rows of 20, 20 values apart
//           tiles       u32, row tiles of this run
// tile:     four heads of one query per workgroup, and 64 keys
// chosen:   the same blocks as the sequence form, so both give the same bits
// used by:  layers[0..1].attention.core fprop (model.attention)
// spec:     tiny
// template: templates/wgsl/attention-paged-split.wgsl.hbs
enable subgroups;
requires subgroup_id;

struct Words {
  tiles: u32,
}

@group(0) @binding(0) var<storage, read_write> q: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> k: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> v: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> positions: array<i32>;
@group(0) @binding(4) var<storage, read_write> page_table: array<i32>;
@group(0) @binding(5) var<storage, read_write> row_tiles: array<i32>;
@group(0) @binding(6) var<storage, read_write> partials: array<vec4f>;
@group(0) @binding(7) var<uniform> words: Words;

fn load_q(i: u32) -> vec4f {
  return q[i];
}

fn load_k(i: u32) -> vec4f {
  return k[i];
}

fn load_v(i: u32) -> vec4f {
  return v[i];
}

fn positions_at(i: u32) -> i32 {
  return positions[i];
}

fn page_table_at(i: u32) -> i32 {
  return page_table[i];
}

fn row_tiles_at(i: u32) -> i32 {
  return row_tiles[i];
}

fn store_partials(i: u32, value: vec4f) {
  partials[i] = value;
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

const HEADS = 2u;
/// Heads of queries that share one head of keys and values.
const GROUP_HEADS = 2u;
/// Four channels each of a head of queries and keys, and of values and results.
const KEY_VECTORS = 4u;
const VALUE_VECTORS = 4u;
/// A masked score: below all others.
const LOWEST = -3.4028234663852886e38f;

/// Channels 4 c to 4 c + 3 of a head.
fn q_channels(row: u32, head: u32, c: u32) -> vec4f {
  return load_q(row * 8u + head * 4u + c);
}

/// Channels 4 c to 4 c + 3 of a head.
fn k_channels(row: u32, head: u32, c: u32) -> vec4f {
  return load_k(row * 4u + head * 4u + c);
}

/// Channels 4 c to 4 c + 3 of a head.
fn v_channels(row: u32, head: u32, c: u32) -> vec4f {
  return load_v(row * 4u + head * 4u + c);
}

const SCALE = 0.25f;
/// How many pairs of a block the mask lets through.
const NONE = 0u;
const SOME = 1u;
const ALL = 2u;

/// score = s
fn score_of(s: vec4f, q: i32, k: vec4i, head: i32) -> vec4f {
  return s;
}

/// visible = k <= q
fn is_visible(q: i32, k: vec4i, head: i32, same_document: vec4<bool>) -> vec4<bool> {
  return (k <= vec4i(q));
}

/// The same for a block of queries and keys, by interval arithmetic.
fn visible_pairs(q_low: i32, q_high: i32, k_low: i32, k_high: i32, head_low: i32, head_high: i32,
    same_document_may: bool, same_document_must: bool) -> u32 {
  return select(select(NONE, SOME, k_low <= q_high), ALL, k_high <= q_low);
}

/// The most rows of a row tile.
const TILE_ROWS = 64u;
/// Slots of a page.
const PAGE = 8u;

/// Where a key of a sequence lies in the cache.
fn slot_of(sequence: u32, key: u32) -> u32 {
  return u32(page_table_at(sequence * 8u + key / PAGE)) * PAGE + key % PAGE;
}

/// Rows of new tokens of one sequence, that see its first `keys` positions.
struct RowTile {
  sequence: u32,
  first_row: u32,
  rows: u32,
  keys: u32,
  position: u32,
}

var<workgroup> row_tile_of_group: RowTile;

/// The same for all threads, which wait for each other in loops over its keys.
fn row_tile_at(index: u32, thread: u32) -> RowTile {
  if (thread == 0u) {
    let fields = index * 4u;
    let first_row = u32(row_tiles_at(fields + 1u));
    row_tile_of_group = RowTile(
      u32(row_tiles_at(fields)),
      first_row,
      u32(row_tiles_at(fields + 2u)),
      u32(row_tiles_at(fields + 3u)),
      u32(positions_at(first_row)),
    );
  }
  return workgroupUniformLoad(&row_tile_of_group);
}

const KV_HEADS = HEADS / GROUP_HEADS;
/// Heads of the query that read keys and values together, as the four columns of a matrix.
const CHUNKS = (GROUP_HEADS + 3u) / 4u;
/// Keys of a workgroup, one block after the other.
const SPLIT = 64u;
const SPLITS = 1u;
const KEYS = 64u;
const QUADS = KEYS / 4u;
const THREADS = 128u;
/// Threads that read one key, and keys that are read at a time.
const LANES = 8u;
const STEP = THREADS / LANES;
/// Threads that each have a vector of all values, and how many of them share the keys of a block.
const COLUMNS = 4u;
const SHARES = THREADS / COLUMNS;
const ROUNDS = (VALUE_VECTORS + COLUMNS - 1u) / COLUMNS;

/// Where the block's keys lie.
var<workgroup> slots: array<u32, KEYS>;
/// [key][lane] products with four heads, an odd number of lanes apart; then [thread][head] sums of values.
var<workgroup> parts: array<vec4f, KEYS * (LANES + 1u)>;
/// [head][key] products, then weights.
var<workgroup> weights: array<f32, 4u * KEYS>;
/// [head][four keys]
var<workgroup> scores: array<vec4f, 4u * QUADS>;
var<workgroup> largest: array<f32, 4>;

/// Products of four heads with the thread's keys, which are STEP apart: column j is about key j.
fn products_of(row: u32, heads: vec4u, kv_head: u32, thread: u32) -> mat4x4f {
  let at = vec4u(slots[thread / LANES], slots[thread / LANES + STEP],
    slots[thread / LANES + 2u * STEP], slots[thread / LANES + 3u * STEP]);
  var sum = mat4x4f();
  for (var c = thread % LANES; c < KEY_VECTORS; c += LANES) {
    let queries = mat4x4f(q_channels(row, heads.x, c), q_channels(row, heads.y, c),
      q_channels(row, heads.z, c), q_channels(row, heads.w, c));
    let keys = mat4x4f(k_channels(at.x, kv_head, c), k_channels(at.y, kv_head, c),
      k_channels(at.z, kv_head, c), k_channels(at.w, kv_head, c));
    sum += transpose(queries) * keys;
  }
  return sum;
}

/// The sum over the eight lanes of four keys, which are in one subgroup, for the key that is lane / 2: what another lane sums up
/// is sent there first, so that 16 values travel instead of 48.
fn sum_of_lanes(products: mat4x4f, lane: u32) -> vec4f {
  let is_late = lane >= 4u;
  let even = select(products[0], products[2], is_late) + subgroupShuffleXor(select(products[2], products[0], is_late), 4u);
  let odd = select(products[1], products[3], is_late) + subgroupShuffleXor(select(products[3], products[1], is_late), 4u);
  let is_odd = lane / 2u % 2u == 1u;
  let sum = select(even, odd, is_odd) + subgroupShuffleXor(select(odd, even, is_odd), 2u);
  return sum + subgroupShuffleXor(sum, 1u);
}

/// Products of the block's keys into `weights`: within subgroups, or in the order of the lanes.
fn gather_products(products: mat4x4f, thread: u32, reach: u32) {
  if (reach >= LANES) {
    let lane = thread % LANES;
    let sum = sum_of_lanes(products, lane);
    let key = thread / LANES + lane / 2u * STEP;
    // Two lanes have the sums of a key, for four heads.
    let h = lane % 2u * 2u;
    weights[h * KEYS + key] = sum[h];
    weights[(h + 1u) * KEYS + key] = sum[h + 1u];
    // Scores are of four keys and one head.
    workgroupBarrier();
    return;
  }
  for (var j = 0u; j < 4u; j++) {
    parts[(thread / LANES + j * STEP) * (LANES + 1u) + thread % LANES] = products[j];
  }
  // A thread adds what eight have of a key.
  workgroupBarrier();
  if (thread < KEYS) {
    var sum = parts[thread * (LANES + 1u)];
    for (var lane = 1u; lane < LANES; lane++) {
      sum += parts[thread * (LANES + 1u) + lane];
    }
    for (var h = 0u; h < 4u; h++) {
      weights[h * KEYS + thread] = sum[h];
    }
  }
  // Scores are of four keys and one head.
  workgroupBarrier();
}

/// The largest of what QUADS threads side by side have, which are in one subgroup.
fn largest_of_quads(own: f32) -> f32 {
  var most = own;
  for (var step = 1u; step < QUADS; step *= 2u) {
    most = max(most, subgroupShuffleXor(most, step));
  }
  return most;
}

/// Scores of the block into `scores`, and the largest of every head into `largest`.
fn score_block(q: i32, heads: vec4u, first: u32, end: u32, is_tested: bool, thread: u32, reach: u32) {
  if (thread < 4u * QUADS) {
    let h = thread / QUADS;
    let head = i32(heads[h]);
    let key = first + 4u * (thread % QUADS);
    let k = vec4i(i32(key)) + vec4i(0, 1, 2, 3);
    let at = 4u * thread;
    let s = SCALE * vec4f(weights[at], weights[at + 1u], weights[at + 2u], weights[at + 3u]);
    var score = score_of(s, q, k, head);
    if (is_tested) {
      let is_seen = is_visible(q, k, head, vec4<bool>(true)) & (k < vec4i(i32(end)));
      score = select(vec4f(LOWEST), score, is_seen);
    }
    scores[thread] = score;
  }
  if (reach >= QUADS) {
    var most = LOWEST;
    if (thread < 4u * QUADS) {
      let own = scores[thread];
      most = max(max(own.x, own.y), max(own.z, own.w));
    }
    most = largest_of_quads(most);
    if (thread < 4u * QUADS && thread % QUADS == 0u) {
      largest[thread / QUADS] = most;
    }
    // All threads scale by what is the largest.
    workgroupBarrier();
    return;
  }
  // A thread looks at all scores of a head.
  workgroupBarrier();
  if (thread < 4u) {
    var most = scores[thread * QUADS];
    for (var i = 1u; i < QUADS; i++) {
      most = max(most, scores[thread * QUADS + i]);
    }
    largest[thread] = max(max(most.x, most.y), max(most.z, most.w));
  }
  // All threads scale by what is the largest.
  workgroupBarrier();
}

/// Weights of the block from its scores; returns the thread's part of their sum.
fn weigh_block(most: vec4f, thread: u32) -> f32 {
  var sum = 0.0;
  if (thread < 4u * QUADS) {
    let score = scores[thread];
    // A masked score is the lowest number: its weight is 0 even where nothing else has been seen.
    let p = select(exp4(score - most[thread / QUADS]), vec4f(0.0), score <= vec4f(LOWEST));
    for (var j = 0u; j < 4u; j++) {
      weights[4u * thread + j] = p[j];
    }
    sum = (p.x + p.y) + (p.z + p.w);
  }
  // Values are weighted by other threads than those of the scores.
  workgroupBarrier();
  return sum;
}

/// Adds the thread's keys of the block, weighted: column h is about head h.
fn add_values(result: mat4x4f, kv_head: u32, c: u32, count: u32, share: u32) -> mat4x4f {
  var sum = result;
  for (var key = share; key < count; key += SHARES) {
    let value = v_channels(slots[key], kv_head, c);
    let p = vec4f(weights[key], weights[KEYS + key], weights[2u * KEYS + key], weights[3u * KEYS + key]);
    sum += mat4x4f(value * p.x, value * p.y, value * p.z, value * p.w);
  }
  return sum;
}

@compute @workgroup_size(128)
fn attention_paged_split_h2kv1d16_p8_k64(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) own_index: u32,
  @builtin(subgroup_size) subgroup_size: u32,
  @builtin(subgroup_invocation_id) subgroup_thread: u32,
  @builtin(subgroup_id) own_subgroup: u32,
  @builtin(num_subgroups) all_subgroups: u32,
) {
  let tile = group.x + group.y * groups.x;
  // WGSL does not say which local indices make a subgroup, but it numbers subgroups, and the threads of one: where all are full,
  // the subgroup's number times its size plus the thread's number in it is one that no other thread has, and so are threads
  // counted. Sizes are powers of two: `reach` threads side by side, from a multiple of it on, are in one subgroup. Where one is
  // not full, threads keep their index and reach nobody. Size and number of subgroups are the same for the whole workgroup,
  // which takes every branch that they decide as one.
  let is_full = all_subgroups * subgroup_size == 128u;
  let thread = select(own_index, own_subgroup * subgroup_size + subgroup_thread, is_full);
  let reach = select(1u, subgroup_size, is_full);
  let split = tile % SPLITS;
  let chunk = tile / SPLITS % CHUNKS;
  let kv_head = tile / SPLITS / CHUNKS % KV_HEADS;
  let index = tile / SPLITS / CHUNKS / KV_HEADS;
  if (index >= words.tiles) {
    return;
  }
  let row_tile = row_tile_at(index, thread);
  let begin = split * SPLIT;
  // Several rows share the keys that they read, in another kernel.
  if (row_tile.rows != 1u || begin >= row_tile.keys) {
    return;
  }
  let end = min(begin + SPLIT, row_tile.keys);
  let q = i32(row_tile.position);
  let last_head = kv_head * GROUP_HEADS + GROUP_HEADS - 1u;
  let first_head = kv_head * GROUP_HEADS + 4u * chunk;
  let heads = min(vec4u(first_head) + vec4u(0u, 1u, 2u, 3u), vec4u(last_head));
  let column = thread % COLUMNS;
  let share = thread / COLUMNS;
  var most = vec4f(LOWEST);
  var total = 0.0;
  var result: array<mat4x4f, ROUNDS>;
  for (var first = begin; first < end; first += KEYS) {
    let count = min(KEYS, end - first);
    let visible = visible_pairs(
      q, q, i32(first), i32(first + count) - 1, i32(first_head), i32(heads.w), true, true,
    );
    if (visible == NONE) {
      continue;
    }
    // Everybody is done with the block before.
    workgroupBarrier();
    if (thread < KEYS) {
      slots[thread] = slot_of(row_tile.sequence, min(first + thread, end - 1u));
    }
    // Slots are read by other threads.
    workgroupBarrier();
    gather_products(products_of(row_tile.first_row, heads, kv_head, thread), thread, reach);
    score_block(q, heads, first, first + count, visible == SOME || count < KEYS, thread, reach);
    let new_most = max(most, vec4f(largest[0], largest[1], largest[2], largest[3]));
    let alpha = exp4(most - new_most);
    most = new_most;
    total = total * alpha[min(thread / QUADS, 3u)] + weigh_block(most, thread);
    for (var round = 0u; round < ROUNDS; round++) {
      let before = result[round];
      let scaled = mat4x4f(before[0] * alpha.x, before[1] * alpha.y, before[2] * alpha.z, before[3] * alpha.w);
      let c = round * COLUMNS + column;
      if (share < SHARES && c < VALUE_VECTORS) {
        result[round] = add_values(scaled, kv_head, c, count, share);
      }
    }
  }
  // Everybody is done with the last block: sums take its place.
  workgroupBarrier();
  if (thread < 4u * QUADS) {
    weights[thread] = total;
  }
  for (var round = 0u; round < ROUNDS; round++) {
    for (var h = 0u; h < 4u; h++) {
      parts[4u * thread + h] = result[round][h];
    }
    // A thread adds what all shares have of a vector.
    workgroupBarrier();
    let c = round * COLUMNS + column;
    for (var h = share; h < 4u; h += SHARES) {
      if (share < SHARES && c < VALUE_VECTORS && first_head + h <= last_head) {
        var sum = parts[4u * column + h];
        for (var other = 1u; other < SHARES; other++) {
          sum += parts[4u * (other * COLUMNS + column) + h];
        }
        let at = ((row_tile.sequence * HEADS + first_head + h) * SPLITS + split) * (VALUE_VECTORS + 1u);
        store_partials(at + 1u + c, sum);
        if (c == 0u) {
          var weight = 0.0;
          for (var i = 0u; i < QUADS; i++) {
            weight += weights[h * QUADS + i];
          }
          store_partials(at, vec4f(most[h], weight, 0.0, 0.0));
        }
      }
    }
    // The next round's sums take the place of these.
    workgroupBarrier();
  }
}
