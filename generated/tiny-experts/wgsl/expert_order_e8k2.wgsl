// expert_order_e8k2: Sorts choices by expert, in the order of the tokens; a row that is nobody's has source and expert -1.
//
// formula:  source[place[t, k]] = t · top_k + k; expert[place[t, k]] = index[t, k]; start[e] even, start[e] + count[e] <= start[e + 1]
// source:   dropless routing: Gale et al., arXiv:2211.15841
// operands: index   i32 rows of 2, 4 values apart
//           source  i32 vector
//           place   i32 rows of 2, 4 values apart
//           expert  i32 vector
//           start   i32 vector
//           count   i32 vector
//           rows    u32, rows of source and expert of this run
//           tokens  u32, tokens of this run
// tile:     everything by one workgroup, 256 choices at a time
// chosen:   one thread counts, adds up and writes: the order depends on the tokens alone
// used by:  layers[1..2].ffn.dispatch fprop (model.ffn.experts)
//           mtp[0].ffn.dispatch fprop (model.ffn.experts)
// spec:     tiny-experts
// template: templates/wgsl/expert-order-shared.wgsl.hbs
struct Words {
  rows: u32,
  tokens: u32,
}

@group(0) @binding(0) var<storage, read_write> index: array<i32>;
@group(0) @binding(1) var<storage, read_write> source: array<i32>;
@group(0) @binding(2) var<storage, read_write> place: array<i32>;
@group(0) @binding(3) var<storage, read_write> expert: array<i32>;
@group(0) @binding(4) var<storage, read_write> start: array<i32>;
@group(0) @binding(5) var<storage, read_write> count: array<i32>;
@group(0) @binding(6) var<uniform> words: Words;

fn index_at(i: u32) -> i32 {
  return index[i];
}

fn put_source(i: u32, value: i32) {
  source[i] = value;
}

fn put_place(i: u32, value: i32) {
  place[i] = value;
}

fn put_expert(i: u32, value: i32) {
  expert[i] = value;
}

fn put_start(i: u32, value: i32) {
  start[i] = value;
}

fn put_count(i: u32, value: i32) {
  count[i] = value;
}

const THREADS = 256u;
const EXPERTS = 8u;
const TOP_K = 2u;
const INDEX_PITCH = 4u;
const PLACE_PITCH = 4u;
/// Choices that are compared with each other; THREADS of them are placed at a time.
const CHUNK = 32u;
const CHUNKS = 8u;

var<workgroup> counts: array<atomic<u32>, EXPERTS>;
/// Where each expert's next row goes.
var<workgroup> next_rows: array<u32, EXPERTS>;
/// [CHUNKS, EXPERTS] choices of the chunks that are being placed.
var<workgroup> chunk_counts: array<u32, CHUNKS * EXPERTS>;
/// Their experts; EXPERTS stands for none.
var<workgroup> chosen: array<u32, THREADS>;

fn expert_of(choice: u32) -> u32 {
  return u32(index_at(choice / TOP_K * INDEX_PITCH + choice % TOP_K));
}

/// An expert's choices, rounded up: the next one begins at an even row.
fn rows_of(e: u32) -> u32 {
  return (atomicLoad(&counts[e]) + 1u) & 0xfffffffeu;
}

fn put_nobody(row: u32) {
  put_source(row, -1);
  put_expert(row, -1);
}

/// Gives every expert its first row, and what lies behind its last one to nobody.
fn begin_experts(thread: u32) {
  for (var e = thread; e < EXPERTS; e += THREADS) {
    var start = 0u;
    for (var before = 0u; before < e; before++) {
      start += rows_of(before);
    }
    let count = atomicLoad(&counts[e]);
    next_rows[e] = start;
    put_start(e, i32(start));
    put_count(e, i32(count));
    if (count % 2u == 1u) {
      put_nobody(start + count);
    }
  }
  var end = 0u;
  for (var e = 0u; e < EXPERTS; e++) {
    end += rows_of(e);
  }
  for (var row = end + thread; row < words.rows; row += THREADS) {
    put_nobody(row);
  }
}

@compute @workgroup_size(256)
fn expert_order_e8k2(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  // Counters begin at 0: not every adapter clears them.
  for (var e = thread; e < EXPERTS; e += THREADS) {
    atomicStore(&counts[e], 0u);
  }
  // Nobody counts before they are cleared.
  workgroupBarrier();
  let choices = words.tokens * TOP_K;
  for (var choice = thread; choice < choices; choice += THREADS) {
    // Whole numbers: the sums do not depend on who is first.
    atomicAdd(&counts[expert_of(choice)], 1u);
  }
  // All choices are counted.
  workgroupBarrier();
  begin_experts(thread);
  let first_of_chunk = thread / CHUNK * CHUNK;
  for (var first = 0u; first < choices; first += THREADS) {
    let choice = first + thread;
    var e = EXPERTS;
    if (choice < choices) {
      e = expert_of(choice);
    }
    chosen[thread] = e;
    for (var at = thread; at < CHUNKS * EXPERTS; at += THREADS) {
      chunk_counts[at] = 0u;
    }
    // Everybody sees the choices of the chunk, and counters that are 0.
    workgroupBarrier();
    var earlier = 0u;
    var is_last = e < EXPERTS;
    for (var other = first_of_chunk; other < first_of_chunk + CHUNK; other++) {
      let is_same = chosen[other] == e;
      earlier += u32(is_same && other < thread);
      is_last = is_last && !(is_same && other > thread);
    }
    if (is_last) {
      chunk_counts[thread / CHUNK * EXPERTS + e] = earlier + 1u;
    }
    // Everybody sees the counts of the chunks before.
    workgroupBarrier();
    if (e < EXPERTS) {
      var row = next_rows[e] + earlier;
      for (var chunk = 0u; chunk < thread / CHUNK; chunk++) {
        row += chunk_counts[chunk * EXPERTS + e];
      }
      put_place(choice / TOP_K * PLACE_PITCH + choice % TOP_K, i32(row));
      put_source(row, i32(choice));
      put_expert(row, i32(e));
    }
    // Rows move on once everybody has read where they were.
    workgroupBarrier();
    for (var own = thread; own < EXPERTS; own += THREADS) {
      for (var chunk = 0u; chunk < CHUNKS; chunk++) {
        next_rows[own] += chunk_counts[chunk * EXPERTS + own];
      }
    }
    // Counters are cleared once they have been added.
    workgroupBarrier();
  }
}
