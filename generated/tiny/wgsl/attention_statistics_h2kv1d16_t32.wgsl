// attention_statistics_h2kv1d16_t32: What every head of a query brings to the gradients of its scores.
//
// formula:  statistics = log_sum_exp, out·d_out
// source:   Dao, arXiv:2307.08691
// operands: out          f32 rows of 32, 32 values apart
//           d_out        f32 rows of 32, 32 values apart
//           log_sum_exp  f32 rows of 2, 4 values apart
//           statistics   f32 rows of 4, 4 values apart
//           rows         u32, rows of this run
// tile:     one head of one query per thread
// chosen:   a tile owns all rows of one group of heads in one sequence, so nothing is summed across tiles
// used by:  layers[0..1].attention.core dgrad (model.attention)
// spec:     tiny
// template: templates/wgsl/attention-statistics.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> d_out: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> log_sum_exp: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> statistics: array<f32>;
@group(0) @binding(4) var<uniform> words: Words;

fn load_out(i: u32) -> vec4f {
  return out[i];
}

fn load_d_out(i: u32) -> vec4f {
  return d_out[i];
}

fn log_sum_exp_at(i: u32) -> f32 {
  return log_sum_exp[i / 4u][i % 4u];
}

fn put_statistics(i: u32, value: f32) {
  statistics[i] = value;
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
fn out_channels(row: u32, head: u32, c: u32) -> vec4f {
  return load_out(row * 8u + head * 4u + c);
}

/// Channels 4 c to 4 c + 3 of a head.
fn d_out_channels(row: u32, head: u32, c: u32) -> vec4f {
  return load_d_out(row * 8u + head * 4u + c);
}

@compute @workgroup_size(64)
fn attention_statistics_h2kv1d16_t32(
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
  let at = row * 4u + 2u * head;
  put_statistics(at, log_sum_exp_at(row * 4u + head));
  put_statistics(at + 1u, delta);
}
