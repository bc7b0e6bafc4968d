// attention_paged_combine_h2kv1d20v16_p8_k64: Puts together what workgroups have found of single new tokens, in the order of the keys.
//
// formula:  out = Σ exp(m - M) Σ exp(score - m) v / Σ exp(m - M) Σ exp(score - m), M the largest m
// source:   Dao et al., Flash-Decoding, 2023
// operands: partials   f32 rows of 20, 20 values apart
//           row_tiles  i32 rows of 4, 4 values apart
//           out        f32 rows of 32, 32 values apart
//           tiles      u32, row tiles of this run
// tile:     four channels of one head per thread
// chosen:   the same blocks as the sequence form, so both give the same bits
// used by:  layers[0..2].attention.core fprop (model.attention)
//           mtp[0].attention.core fprop (model.attention)
// spec:     tiny-experts
// template: templates/wgsl/attention-paged-combine.wgsl.hbs
struct Words {
  tiles: u32,
}

@group(0) @binding(0) var<storage, read_write> partials: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> row_tiles: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(3) var<uniform> words: Words;

fn load_partials(i: u32) -> vec4f {
  return partials[i];
}

fn row_tiles_at(i: u32) -> i32 {
  return row_tiles[i];
}

fn store_out(i: u32, value: vec4f) {
  out[i] = value;
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

const HEADS = 2u;
/// Heads of queries that share one head of keys and values.
const GROUP_HEADS = 2u;
/// Four channels each of a head of queries and keys, and of values and results.
const KEY_VECTORS = 5u;
const VALUE_VECTORS = 4u;
/// A masked score: below all others.
const LOWEST = -3.4028234663852886e38f;

fn store_out_channels(row: u32, head: u32, c: u32, value: vec4f) {
  store_out(row * 8u + head * 4u + c, value);
}

const SPLIT = 64u;
const SPLITS = 1u;

@compute @workgroup_size(64)
fn attention_paged_combine_h2kv1d20v16_p8_k64(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let index = tile * 64u + thread;
  let c = index % VALUE_VECTORS;
  let head = index / VALUE_VECTORS % HEADS;
  let row_tile = index / VALUE_VECTORS / HEADS;
  if (row_tile >= words.tiles) {
    return;
  }
  let fields = row_tile * 4u;
  if (row_tiles_at(fields + 2u) != 1) {
    return;
  }
  let sequence = u32(row_tiles_at(fields));
  let row = u32(row_tiles_at(fields + 1u));
  let splits = (u32(row_tiles_at(fields + 3u)) + SPLIT - 1u) / SPLIT;
  let first = (sequence * HEADS + head) * SPLITS * (VALUE_VECTORS + 1u);
  var most = LOWEST;
  var total = 0.0;
  var result = vec4f(0.0);
  for (var split = 0u; split < splits; split++) {
    let at = first + split * (VALUE_VECTORS + 1u);
    let statistics = load_partials(at);
    let new_most = max(most, statistics.x);
    let before = exp1(most - new_most);
    let here = exp1(statistics.x - new_most);
    total = total * before + statistics.y * here;
    result = result * before + load_partials(at + 1u + c) * here;
    most = new_most;
  }
  // A query that sees nothing yields zeros.
  store_out_channels(row, head, c, result * select(0.0, 1.0 / total, total > 0.0));
}
