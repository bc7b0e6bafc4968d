// attention_paged_h4kv2d6_p5_41883ba5: Attention of new tokens over cached keys and values, by the blocks of the sequence form.
//
// formula:  s = q·k / sqrt(6); score = 30 * tanh(0.033333333 * s) - (q - k) / exp((head + 1) * log(2)); visible = ((k <= q) && ((q - k) < 8)) && same_document; out = softmax_k(score where visible) · v over the pages of the row's sequence
// source:   Kwon et al., arXiv:2309.06180
// operands: q           f32 rows of 24, 24 values apart
//           k           f32 rows of 12, 12 values apart
//           v           f32 rows of 12, 12 values apart
//           positions   i32 vector
//           page_table  i32 rows of 10, 12 values apart
//           row_tiles   i32 rows of 4, 4 values apart
//           out         f32 rows of 24, 24 values apart
//           tiles       u32, row tiles of this run
// tile:     64 queries of the heads that share a key-value head per workgroup, in blocks of 32 keys; slices of 32 channels are in workgroup memory
// chosen:   the same blocks as the sequence form, so both give the same bits
// used by:  layers[1].attention.core fprop (model.attention)
// spec:     tiny-formulas
// template: templates/wgsl/attention-paged-tile.wgsl.hbs
struct Words {
  tiles: u32,
}

@group(0) @binding(0) var<storage, read_write> q: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> k: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> v: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> positions: array<i32>;
@group(0) @binding(4) var<storage, read_write> page_table: array<i32>;
@group(0) @binding(5) var<storage, read_write> row_tiles: array<i32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;
@group(0) @binding(7) var<uniform> words: Words;

fn q_at(i: u32) -> f32 {
  return q[i / 4u][i % 4u];
}

fn k_at(i: u32) -> f32 {
  return k[i / 4u][i % 4u];
}

fn v_at(i: u32) -> f32 {
  return v[i / 4u][i % 4u];
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

fn put_out(i: u32, value: f32) {
  out[i] = value;
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

/// x + x^3 q(x^2) below 0.625, else 1 - 2 / (e^(2|x|) + 1) with the sign of x.
fn tanh4(x: vec4f) -> vec4f {
  let s = x * x;
  let near = x + x * s * ((((-0.005704986862838268 * s + 0.0206390880048275) * s + -0.05373971536755562) * s + 0.13331441581249237) * s + -0.3333328068256378);
  let far = 1.0 - 2.0 / (exp4(2.0 * abs(x)) + 1.0);
  return select(select(far, -far, x < vec4f(0.0)), near, abs(x) < vec4f(0.625));
}

/// A question to the bits: compilers may assume that there is no NaN.
fn is_nan1(x: f32) -> bool {
  return (bitcast<u32>(x) & u32(0x7fffffffu)) > u32(0x7f800000u);
}

/// e^x = 2^n e^r with |r| <= ln 2 / 2; 2^n in two factors, so that neither overflows before its time.
fn exp1(x: f32) -> f32 {
  let bounded = clamp(x, f32(-104.0), f32(89.0));
  let n = floor(bounded * 1.4426950408889634 + 0.5);
  let r = (bounded - n * 0.693359375) - n * -2.1219444e-4;
  let mantissa = r * r * ((((0.0013814320554956794 * r + 0.00836885068565607) * r + 0.041668400168418884) * r + 0.1666651964187622) * r + 0.4999999403953552) + r + 1.0;
  let half = i32(n) >> 1u;
  let rest = i32(n) - half;
  let low = bitcast<f32>((half + 127) << 23u);
  let high = bitcast<f32>((rest + 127) << 23u);
  return select(mantissa * low * high, x, is_nan1(x));
}

/// log x = e ln 2 + f - f^2/2 + f^3 q(f) with x = 2^e (1 + f), 1 + f in [sqrt(1/2), sqrt(2)).
fn log1(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let m = bitcast<f32>((bits & u32(0x7fffffu)) | u32(0x3f000000u));
  let is_low = m < f32(0.70710677);
  let e = f32(i32(bits >> 23u) - 126) - select(f32(0.0), f32(1.0), is_low);
  let f = select(m, m + m, is_low) - 1.0;
  let square = f * f;
  let small = f * square * ((((((((0.06746640801429749 * f + -0.11675652116537094) * f + 0.11888162046670914) * f + -0.1240558922290802) * f + 0.14219552278518677) * f + -0.1666799634695053) * f + 0.2000211924314499) * f + -0.25000008940696716) * f + 0.3333331346511841) + e * -2.1219444e-4;
  let value = (f + (small - square * 0.5)) + e * 0.693359375;
  let minus_infinity = bitcast<f32>(max(bits, u32(0xff800000u)));
  let is_zero = bits << 1u < u32(0x1000000u);
  let is_odd = bits >= u32(0x7f800000u);
  let odd = select(x, bitcast<f32>(bits | u32(0x7fc00000u)), bits > u32(0x80000000u));
  return select(select(value, odd, is_odd), minus_infinity, is_zero);
}

const HEADS = 4u;
/// Heads of queries that share one head of keys and values.
const GROUP_HEADS = 2u;
/// Four channels each of a head of queries and keys, and of values and results.
const KEY_VECTORS = 2u;
const VALUE_VECTORS = 2u;
/// A masked score: below all others.
const LOWEST = -3.4028234663852886e38f;

/// Channels 4 c to 4 c + 3 of a head; behind its last one there are zeros.
fn q_channels(row: u32, head: u32, c: u32) -> vec4f {
  let at = row * 24u + head * 6u + 4u * c;
  let values = vec4f(q_at(at), q_at(at + 1u), q_at(at + 2u), q_at(at + 3u));
  return select(vec4f(0.0), values, vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u) < vec4u(6u));
}

/// Channels 4 c to 4 c + 3 of a head; behind its last one there are zeros.
fn k_channels(row: u32, head: u32, c: u32) -> vec4f {
  let at = row * 12u + head * 6u + 4u * c;
  let values = vec4f(k_at(at), k_at(at + 1u), k_at(at + 2u), k_at(at + 3u));
  return select(vec4f(0.0), values, vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u) < vec4u(6u));
}

/// Channels 4 c to 4 c + 3 of a head; behind its last one there are zeros.
fn v_channels(row: u32, head: u32, c: u32) -> vec4f {
  let at = row * 12u + head * 6u + 4u * c;
  let values = vec4f(v_at(at), v_at(at + 1u), v_at(at + 2u), v_at(at + 3u));
  return select(vec4f(0.0), values, vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u) < vec4u(6u));
}

/// Stores the channels that the head has: what is behind them is another head's.
fn store_out_channels(row: u32, head: u32, c: u32, value: vec4f) {
  let at = row * 24u + head * 6u + 4u * c;
  for (var i = 0u; i < min(4u, 6u - 4u * c); i++) {
    put_out(at + i, value[i]);
  }
}

const SCALE = 0.40824830532073975f;
/// How many pairs of a block the mask lets through.
const NONE = 0u;
const SOME = 1u;
const ALL = 2u;

/// score = 30 * tanh(0.033333333 * s) - (q - k) / exp((head + 1) * log(2))
fn score_of(s: vec4f, q: i32, k: vec4i, head: i32) -> vec4f {
  return tanh4(s * 0.03333333507180214f) * 30.0f - vec4f(q - k) * (1.0f / exp1(f32(1 + head) * log1(2.0f)));
}

/// visible = ((k <= q) && ((q - k) < 8)) && same_document
fn is_visible(q: i32, k: vec4i, head: i32, same_document: vec4<bool>) -> vec4<bool> {
  let k_2 = k;
  let q_2 = q;
  return (((k_2 <= vec4i(q_2)) & (q_2 - k_2 < vec4i(8))) & same_document);
}

/// The same for a block of queries and keys, by interval arithmetic.
fn visible_pairs(q_low: i32, q_high: i32, k_low: i32, k_high: i32, head_low: i32, head_high: i32,
    same_document_may: bool, same_document_must: bool) -> u32 {
  let bound_11 = k_low * (-1);
  let bound_13 = q_high + bound_11;
  let bound_10 = k_high * (-1);
  let bound_12 = q_low + bound_10;
  return select(select(NONE, SOME, (k_low <= q_high && bound_12 < 8) && same_document_may), ALL, (k_high <= q_low && bound_13 < 8) && same_document_must);
}

const KV_HEADS = HEADS / GROUP_HEADS;
/// Rows of the block that a workgroup owns, and of those that it meets; a thread has 4 x 4 pairs of them.
const OWN = 64u;
const OTHER = 32u;
/// Threads side by side. Each has four rows of the other block that are LANES apart, so that neighbours read neighbours.
const LANES = 8u;
const THREADS = 128u;
/// From row to row of `other`: odd, so that the rows that neighbours read lie in different banks.
const PITCH = LANES + 1u;
/// Slices of LANES vectors, which are all of a head's channels that are in workgroup memory at a time.
const KEY_SLICES = (KEY_VECTORS + LANES - 1u) / LANES;
const VALUE_SLICES = (VALUE_VECTORS + LANES - 1u) / LANES;

/// [own row][vector of a slice], then [own row][weights of four other rows]
var<workgroup> own: array<vec4f, OWN * LANES>;
/// [other row][vector of a slice]
var<workgroup> other: array<vec4f, OTHER * PITCH>;

/// Rows `first` to `last` of a block; for queries, all heads of a position stand one after the other.
struct Rows {
  origin: u32,
  kv_head: u32,
  first: u32,
  last: u32,
}

fn query_row(rows: Rows, n: u32) -> u32 {
  return rows.origin + n / GROUP_HEADS;
}

fn query_head(rows: Rows, n: u32) -> u32 {
  return rows.kv_head * GROUP_HEADS + n % GROUP_HEADS;
}

/// Brings a slice of q into `own`: neighbouring threads read neighbouring vectors.
fn stage_q(rows: Rows, slice: u32, thread: u32) {
  for (var i = thread; i < OWN * LANES; i += THREADS) {
    let c = slice * LANES + i % LANES;
    if (c < 2u) {
      let n = min(rows.first + i / LANES, rows.last);
      own[i / LANES * LANES + i % LANES] = q_channels(query_row(rows, n), query_head(rows, n), c);
    }
  }
}

/// Brings a slice of k into `other`: neighbouring threads read neighbouring vectors.
fn stage_k(rows: Rows, slice: u32, thread: u32) {
  for (var i = thread; i < OTHER * LANES; i += THREADS) {
    let c = slice * LANES + i % LANES;
    if (c < 2u) {
      let n = min(rows.first + i / LANES, rows.last);
      other[i / LANES * PITCH + i % LANES] = k_channels(key_row(rows, n), rows.kv_head, c);
    }
  }
}

/// Brings a slice of v into `other`: neighbouring threads read neighbouring vectors.
fn stage_v(rows: Rows, slice: u32, thread: u32) {
  for (var i = thread; i < OTHER * LANES; i += THREADS) {
    let c = slice * LANES + i % LANES;
    if (c < 2u) {
      let n = min(rows.first + i / LANES, rows.last);
      other[i / LANES * PITCH + i % LANES] = v_channels(key_row(rows, n), rows.kv_head, c);
    }
  }
}

/// Adds the products of a slice: column i has those of own row 4 y + i with the thread's four other rows.
fn add_products(products: mat4x4f, x: u32, y: u32, vectors: u32) -> mat4x4f {
  var sum = products;
  let a = 4u * y * LANES;
  let b = x * PITCH;
  let step = LANES * PITCH;
  for (var c = 0u; c < vectors; c++) {
    let mine = mat4x4f(own[a + c], own[a + LANES + c], own[a + 2u * LANES + c], own[a + 3u * LANES + c]);
    let theirs = mat4x4f(other[b + c], other[b + step + c], other[b + 2u * step + c], other[b + 3u * step + c]);
    sum += transpose(theirs) * mine;
  }
  return sum;
}

/// Leaves the weights of the thread's pairs in `own`.
fn keep_weights(weights: mat4x4f, x: u32, y: u32) {
  for (var i = 0u; i < 4u; i++) {
    own[(4u * y + i) * LANES + x] = weights[i];
  }
}

/// Adds the weighted sum of all other rows: column i has vector x of the slice for own row 4 y + i.
fn add_weighted(result: mat4x4f, x: u32, y: u32) -> mat4x4f {
  var sum = result;
  let a = 4u * y * LANES;
  let step = LANES * PITCH;
  for (var lane = 0u; lane < LANES; lane++) {
    let b = lane * PITCH + x;
    let weights = mat4x4f(own[a + lane], own[a + LANES + lane], own[a + 2u * LANES + lane], own[a + 3u * LANES + lane]);
    sum += mat4x4f(other[b], other[b + step], other[b + 2u * step], other[b + 3u * step]) * weights;
  }
  return sum;
}

/// The most rows of a row tile.
const TILE_ROWS = 64u;
/// Slots of a page.
const PAGE = 5u;

/// Where a key of a sequence lies in the cache.
fn slot_of(sequence: u32, key: u32) -> u32 {
  return u32(page_table_at(sequence * 12u + key / PAGE)) * PAGE + key % PAGE;
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

/// Where the keys of the other block lie.
var<workgroup> slots: array<u32, OTHER>;

/// Looks the block's slots up, once for all slices; a barrier must follow.
fn stage_slots(keys: Rows, thread: u32) {
  if (thread < OTHER) {
    slots[thread] = slot_of(keys.origin, min(keys.first + thread, keys.last));
  }
}

fn key_row(keys: Rows, n: u32) -> u32 {
  return slots[n - keys.first];
}

/// How many pairs of two blocks there are to see: the same for all threads.
fn block_visibility(queries: Rows, keys: Rows, position: u32, thread: u32) -> u32 {
  return pairs_of_blocks(queries, keys, position, true, true);
}

fn pairs_of_blocks(queries: Rows, keys: Rows, position: u32, same_document_may: bool, same_document_must: bool) -> u32 {
  let q = i32(position + queries.first / GROUP_HEADS);
  let q_last = i32(position + queries.last / GROUP_HEADS);
  let head = i32(queries.kv_head * GROUP_HEADS);
  let head_last = head + i32(GROUP_HEADS) - 1;
  return visible_pairs(
    q, q_last, i32(keys.first), i32(keys.last), head, head_last, same_document_may, same_document_must,
  );
}

/// All of a sequence is one document.
fn same_document(own_row: u32, x: u32) -> vec4<bool> {
  return vec4<bool>(true);
}

/// The largest score of every own row among a lane's, or the sum of weights.
var<workgroup> lane_parts: array<vec4f, LANES * OWN / 4u>;

/// The largest of what all lanes have of the thread's four own rows.
fn largest_of_lanes(part: vec4f, x: u32, y: u32) -> vec4f {
  lane_parts[x * (OWN / 4u) + y] = part;
  // All lanes read what each of them has written.
  workgroupBarrier();
  var largest = lane_parts[y];
  for (var lane = 1u; lane < LANES; lane++) {
    largest = max(largest, lane_parts[lane * (OWN / 4u) + y]);
  }
  return largest;
}

/// The sum of the same, in the order of the lanes.
fn sum_of_lanes(part: vec4f, x: u32, y: u32) -> vec4f {
  // Somebody may still read the largest scores.
  workgroupBarrier();
  lane_parts[x * (OWN / 4u) + y] = part;
  workgroupBarrier();
  var sum = lane_parts[y];
  for (var lane = 1u; lane < LANES; lane++) {
    sum += lane_parts[lane * (OWN / 4u) + y];
  }
  return sum;
}

/// Scores of the thread's pairs from their products; those that the mask hides are the lowest.
fn scores_of(products: mat4x4f, queries: Rows, keys: Rows, position: u32, is_tested: bool, x: u32, y: u32) -> mat4x4f {
  let k = vec4i(i32(keys.first + x)) + vec4i(0, i32(LANES), 2 * i32(LANES), 3 * i32(LANES));
  var scores: mat4x4f;
  for (var i = 0u; i < 4u; i++) {
    let n = min(queries.first + 4u * y + i, queries.last);
    let q = i32(position + n / GROUP_HEADS);
    let head = i32(query_head(queries, n));
    var score = score_of(SCALE * products[i], q, k, head);
    if (is_tested) {
      let is_seen = is_visible(q, k, head, same_document(4u * y + i, x)) & (k <= vec4i(i32(keys.last)));
      score = select(vec4f(LOWEST), score, is_seen);
    }
    scores[i] = score;
  }
  return scores;
}

fn largest_of_columns(m: mat4x4f) -> vec4f {
  let t = transpose(m);
  return max(max(t[0], t[1]), max(t[2], t[3]));
}

fn sums_of_columns(m: mat4x4f) -> vec4f {
  let t = transpose(m);
  return (t[0] + t[1]) + (t[2] + t[3]);
}

/// Queries of a block, the first of them at `position`, over the first `count` keys that begin at `origin`.
fn attend(queries: Rows, position: u32, origin: u32, count: u32, thread: u32) {
  let x = thread % LANES;
  let y = thread / LANES;
  // Of the thread's four queries: the largest score, this lane's part of the sum of weights, and of the weighted values.
  var most = vec4f(LOWEST);
  var total = vec4f(0.0);
  var result: array<mat4x4f, VALUE_SLICES>;
  for (var first = 0u; first < count; first += OTHER) {
    let keys = Rows(origin, queries.kv_head, first, min(first + OTHER, count) - 1u);
    let visible_here = block_visibility(queries, keys, position, thread);
    if (visible_here == NONE) {
      continue;
    }
    stage_slots(keys, thread);
    // Zeros are written out: not every compiler clears a variable of a loop again.
    var products = mat4x4f();
    for (var slice = 0u; slice < KEY_SLICES; slice++) {
      // Everybody is done with what was staged before.
      workgroupBarrier();
      stage_q(queries, slice, thread);
      stage_k(keys, slice, thread);
      // The slice is there for all.
      workgroupBarrier();
      products = add_products(products, x, y, min(LANES, KEY_VECTORS - slice * LANES));
    }
    let is_tested = visible_here == SOME || keys.last - keys.first + 1u < OTHER;
    let scores = scores_of(products, queries, keys, position, is_tested, x, y);
    // Its barrier is also behind the last read of staged queries, where weights are kept next.
    let new_most = max(most, largest_of_lanes(largest_of_columns(scores), x, y));
    var weights: mat4x4f;
    for (var i = 0u; i < 4u; i++) {
      // A masked score is the lowest number: its weight is 0 even where nothing else has been seen.
      weights[i] = select(exp4(scores[i] - new_most[i]), vec4f(0.0), scores[i] <= vec4f(LOWEST));
    }
    let alpha = exp4(most - new_most);
    total = total * alpha + sums_of_columns(weights);
    most = new_most;
    keep_weights(weights, x, y);
    for (var slice = 0u; slice < VALUE_SLICES; slice++) {
      // Everybody is done with the keys, or the slice before.
      workgroupBarrier();
      stage_v(keys, slice, thread);
      // Values and weights are there for all.
      workgroupBarrier();
      let before = result[slice];
      let scaled = mat4x4f(before[0] * alpha.x, before[1] * alpha.y, before[2] * alpha.z, before[3] * alpha.w);
      result[slice] = add_weighted(scaled, x, y);
    }
  }
  let sum = sum_of_lanes(total, x, y);
  for (var i = 0u; i < 4u; i++) {
    let n = queries.first + 4u * y + i;
    if (n <= queries.last) {
      let row = query_row(queries, n);
      let head = query_head(queries, n);
      // A query that sees nothing yields zeros.
      let inverse = select(0.0, 1.0 / sum[i], sum[i] > 0.0);
      for (var slice = 0u; slice < VALUE_SLICES; slice++) {
        let c = slice * LANES + x;
        if (c < VALUE_VECTORS) {
          store_out_channels(row, head, c, result[slice][i] * inverse);
        }
      }
    }
  }
}

/// Blocks of a row tile's queries with the heads that share a head of keys and values.
const BLOCKS = (TILE_ROWS * GROUP_HEADS + OWN - 1u) / OWN;

@compute @workgroup_size(128)
fn attention_paged_h4kv2d6_p5_41883ba5(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let first = tile % BLOCKS * OWN;
  let kv_head = tile / BLOCKS % KV_HEADS;
  let index = tile / BLOCKS / KV_HEADS;
  if (index >= words.tiles) {
    return;
  }
  let row_tile = row_tile_at(index, thread);
  let count = row_tile.rows * GROUP_HEADS;
  // Single rows are shared out by keys, in another kernel.
  if (first >= count || row_tile.rows == 1u) {
    return;
  }
  let queries = Rows(row_tile.first_row, kv_head, first, min(first + OWN, count) - 1u);
  attend(queries, row_tile.position, row_tile.sequence, row_tile.keys, thread);
}
