// attention_statistics_h4kv2d6_t23: What every head of a query brings to the gradients of its scores.
//
// formula:  statistics = log_sum_exp, out·d_out
// source:   Dao, arXiv:2307.08691
// operands: out          f32 rows of 24, 24 values apart
//           d_out        f32 rows of 24, 24 values apart
//           log_sum_exp  f32 rows of 4, 4 values apart
//           statistics   f32 rows of 8, 8 values apart
//           rows         u32, rows of this run
// tile:     one head of one query per thread
// chosen:   a tile owns all rows of one group of heads in one sequence, so nothing is summed across tiles
// used by:  layers[0..1].attention.core dgrad (model.attention)
// spec:     tiny-formulas
// template: templates/wgsl/attention-statistics.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> d_out: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> log_sum_exp: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> statistics: array<f32>;
@group(0) @binding(4) var<uniform> words: Words;

fn out_at(i: u32) -> f32 {
  return out[i / 4u][i % 4u];
}

fn d_out_at(i: u32) -> f32 {
  return d_out[i / 4u][i % 4u];
}

fn log_sum_exp_at(i: u32) -> f32 {
  return log_sum_exp[i / 4u][i % 4u];
}

fn put_statistics(i: u32, value: f32) {
  statistics[i] = value;
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
fn out_channels(row: u32, head: u32, c: u32) -> vec4f {
  let at = row * 24u + head * 6u + 4u * c;
  let values = vec4f(out_at(at), out_at(at + 1u), out_at(at + 2u), out_at(at + 3u));
  return select(vec4f(0.0), values, vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u) < vec4u(6u));
}

/// Channels 4 c to 4 c + 3 of a head; behind its last one there are zeros.
fn d_out_channels(row: u32, head: u32, c: u32) -> vec4f {
  let at = row * 24u + head * 6u + 4u * c;
  let values = vec4f(d_out_at(at), d_out_at(at + 1u), d_out_at(at + 2u), d_out_at(at + 3u));
  return select(vec4f(0.0), values, vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u) < vec4u(6u));
}

@compute @workgroup_size(64)
fn attention_statistics_h4kv2d6_t23(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let index = tile * 64u + thread;
  let row = index / HEADS;
  let head = index % HEADS;
  if (row >= words.rows) {
    return;
  }
  var delta = 0.0;
  for (var c = 0u; c < VALUE_VECTORS; c++) {
    delta += dot(out_channels(row, head, c), d_out_channels(row, head, c));
  }
  let at = row * 8u + 2u * head;
  put_statistics(at, log_sum_exp_at(row * 4u + head));
  put_statistics(at + 1u, delta);
}
