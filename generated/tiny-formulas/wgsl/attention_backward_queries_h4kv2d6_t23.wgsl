// attention_backward_queries_h4kv2d6_t23: Gradients of queries, keys and values from the saved log-sum-exp.
//
// formula:  s = q·k / sqrt(6); score = 30 * tanh(0.033333333 * s) - (q - k) / exp((head + 1) * log(2)); visible = ((k <= q) && ((q - k) < 8)) && same_document; out = softmax_k(score where visible) · v; p = exp(score - log_sum_exp); d_v = pᵀ d_out; d_score = p (d_out·v - out·d_out); d_s = d_score score'(s); d_q = d_s k · scale; d_k = d_sᵀ q · scale
// source:   Dao, arXiv:2307.08691
// operands: q           f32 rows of 24, 24 values apart
//           k           f32 rows of 12, 12 values apart
//           v           f32 rows of 12, 12 values apart
//           documents   i32 vector
//           d_out       f32 rows of 24, 24 values apart
//           statistics  f32 rows of 8, 8 values apart
//           d_q         f32 rows of 24, 24 values apart
//           rows        u32, rows of this run
// tile:     16 queries of the heads that share a key-value head per workgroup, in blocks of 32 keys; slices of 32 channels are in workgroup memory
// chosen:   a tile owns all rows of one group of heads in one sequence, so nothing is summed across tiles
// used by:  layers[1].attention.core dgrad (model.attention)
// spec:     tiny-formulas
// template: templates/wgsl/attention-queries-tile.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> q: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> k: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> v: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> documents: array<i32>;
@group(0) @binding(4) var<storage, read_write> d_out: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> statistics: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> d_q: array<f32>;
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

fn documents_at(i: u32) -> i32 {
  return documents[i];
}

fn d_out_at(i: u32) -> f32 {
  return d_out[i / 4u][i % 4u];
}

fn statistics_at(i: u32) -> f32 {
  return statistics[i / 4u][i % 4u];
}

fn put_d_q(i: u32, value: f32) {
  d_q[i] = value;
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

/// Channels 4 c to 4 c + 3 of a head; behind its last one there are zeros.
fn d_out_channels(row: u32, head: u32, c: u32) -> vec4f {
  let at = row * 24u + head * 6u + 4u * c;
  let values = vec4f(d_out_at(at), d_out_at(at + 1u), d_out_at(at + 2u), d_out_at(at + 3u));
  return select(vec4f(0.0), values, vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u) < vec4u(6u));
}

/// Stores the channels that the head has: what is behind them is another head's.
fn store_d_q_channels(row: u32, head: u32, c: u32, value: vec4f) {
  let at = row * 24u + head * 6u + 4u * c;
  for (var i = 0u; i < min(4u, 6u - 4u * c); i++) {
    put_d_q(at + i, value[i]);
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

/// What is above, derived by s, times d_y.
fn score_slope(s: vec4f, q: i32, k: vec4i, head: i32, d_y: vec4f) -> vec4f {
  let tanh_ = tanh4(s * 0.03333333507180214f);
  return select(vec4f(0.0), d_y * (1.0f - tanh_ * tanh_), d_y != vec4f(0.0));
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
const OWN = 16u;
const OTHER = 32u;
/// Threads side by side. Each has four rows of the other block that are LANES apart, so that neighbours read neighbours.
const LANES = 8u;
const THREADS = 32u;
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

/// Brings a slice of d_out into `own`: neighbouring threads read neighbouring vectors.
fn stage_d_out(rows: Rows, slice: u32, thread: u32) {
  for (var i = thread; i < OWN * LANES; i += THREADS) {
    let c = slice * LANES + i % LANES;
    if (c < 2u) {
      let n = min(rows.first + i / LANES, rows.last);
      own[i / LANES * LANES + i % LANES] = d_out_channels(query_row(rows, n), query_head(rows, n), c);
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

const SEQUENCE = 23u;

fn key_row(rows: Rows, n: u32) -> u32 {
  return rows.origin + n;
}

var<workgroup> own_documents: array<i32, OWN>;
var<workgroup> other_documents: array<i32, OTHER>;
/// Least and greatest of the own documents.
var<workgroup> own_range: vec2i;
var<workgroup> visible: u32;

fn stage_documents(rows: Rows, thread: u32) {
  if (thread < OWN) {
    own_documents[thread] = documents_at(query_row(rows, min(rows.first + thread, rows.last)));
  }
  // One thread reads what others have written.
  workgroupBarrier();
  if (thread == 0u) {
    var range = vec2i(own_documents[0]);
    for (var i = 1u; i < OWN; i++) {
      range = vec2i(min(range.x, own_documents[i]), max(range.y, own_documents[i]));
    }
    own_range = range;
  }
}

/// How many pairs of two blocks there are to see: the same for all threads.
fn block_visibility(queries: Rows, keys: Rows, position: u32, thread: u32) -> u32 {
  if (thread < OTHER) {
    other_documents[thread] = documents_at(key_row(keys, min(keys.first + thread, keys.last)));
  }
  // One thread reads what others have written.
  workgroupBarrier();
  if (thread == 0u) {
    var range = vec2i(other_documents[0]);
    for (var i = 1u; i < OTHER; i++) {
      range = vec2i(min(range.x, other_documents[i]), max(range.y, other_documents[i]));
    }
    let may = own_range.x <= range.y && range.x <= own_range.y;
    let must = own_range.x == range.y && range.x == own_range.y;
    visible = pairs_of_blocks(queries, keys, position, may, must);
  }
  return workgroupUniformLoad(&visible);
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

/// Whether an own row is of one document with the thread's four other rows.
fn same_document(own_row: u32, x: u32) -> vec4<bool> {
  let others = vec4i(
    other_documents[x],
    other_documents[x + LANES],
    other_documents[x + 2u * LANES],
    other_documents[x + 3u * LANES],
  );
  return others == vec4i(own_documents[own_row]);
}

/// Blocks of a sequence's queries with the heads that share a head of keys and values.
const BLOCKS = (SEQUENCE * GROUP_HEADS + OWN - 1u) / OWN;

/// Adjoints of the thread's products of queries and keys, from these and from those of values and the results' adjoints.
fn slopes_of(products: mat4x4f, value_products: mat4x4f, queries: Rows, keys: Rows, is_tested: bool, x: u32, y: u32) -> mat4x4f {
  let k = vec4i(i32(keys.first + x)) + vec4i(0, i32(LANES), 2 * i32(LANES), 3 * i32(LANES));
  var slopes: mat4x4f;
  for (var i = 0u; i < 4u; i++) {
    let n = min(queries.first + 4u * y + i, queries.last);
    let q = i32(n / GROUP_HEADS);
    let head = query_head(queries, n);
    let at = query_row(queries, n) * 8u + 2u * head;
    let s = SCALE * products[i];
    var p = exp4(score_of(s, q, k, i32(head)) - statistics_at(at));
    if (is_tested) {
      let is_seen = is_visible(q, k, i32(head), same_document(4u * y + i, x)) & (k <= vec4i(i32(keys.last)));
      p = select(vec4f(0.0), p, is_seen);
    }
    let d_y = p * (value_products[i] - statistics_at(at + 1u));
    slopes[i] = SCALE * score_slope(s, q, k, i32(head), d_y);
  }
  return slopes;
}

@compute @workgroup_size(32)
fn attention_backward_queries_h4kv2d6_t23(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let first = tile % BLOCKS * OWN;
  let kv_head = tile / BLOCKS % KV_HEADS;
  let first_row = tile / BLOCKS / KV_HEADS * SEQUENCE;
  if (first_row >= words.rows) {
    return;
  }
  let x = thread % LANES;
  let y = thread / LANES;
  let queries = Rows(first_row, kv_head, first, min(first + OWN, SEQUENCE * GROUP_HEADS) - 1u);
  stage_documents(queries, thread);
  var d_query: array<mat4x4f, KEY_SLICES>;
  for (var key = 0u; key < SEQUENCE; key += OTHER) {
    let keys = Rows(first_row, kv_head, key, min(key + OTHER, SEQUENCE) - 1u);
    let visible_here = block_visibility(queries, keys, 0u, thread);
    if (visible_here == NONE) {
      continue;
    }
    var value_products = mat4x4f();
    for (var slice = 0u; slice < VALUE_SLICES; slice++) {
      // Everybody is done with what was staged before.
      workgroupBarrier();
      stage_d_out(queries, slice, thread);
      stage_v(keys, slice, thread);
      // The slice is there for all.
      workgroupBarrier();
      value_products = add_products(value_products, x, y, min(LANES, VALUE_VECTORS - slice * LANES));
    }
    var products = mat4x4f();
    for (var slice = 0u; slice < KEY_SLICES; slice++) {
      workgroupBarrier();
      stage_q(queries, slice, thread);
      stage_k(keys, slice, thread);
      workgroupBarrier();
      products = add_products(products, x, y, min(LANES, KEY_VECTORS - slice * LANES));
    }
    let is_tested = visible_here == SOME || keys.last - keys.first + 1u < OTHER;
    let slopes = slopes_of(products, value_products, queries, keys, is_tested, x, y);
    // Everybody is done with the queries, where the slopes are kept next.
    workgroupBarrier();
    keep_weights(slopes, x, y);
    for (var slice = 0u; slice < KEY_SLICES; slice++) {
      // Everybody is done with the slice before.
      workgroupBarrier();
      stage_k(keys, slice, thread);
      // Keys and slopes are there for all.
      workgroupBarrier();
      d_query[slice] = add_weighted(d_query[slice], x, y);
    }
  }
  for (var i = 0u; i < 4u; i++) {
    let n = first + 4u * y + i;
    if (n <= queries.last) {
      for (var slice = 0u; slice < KEY_SLICES; slice++) {
        let c = slice * LANES + x;
        if (c < KEY_VECTORS) {
          store_d_q_channels(query_row(queries, n), query_head(queries, n), c, d_query[slice][i]);
        }
      }
    }
  }
}
