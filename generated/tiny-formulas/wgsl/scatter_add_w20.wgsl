// scatter_add_w20: Adds rows to the entries that an index names, in the order of the rows; a negative index names none.
//
// formula:  y[e] = Σ_{r: index[r] = e} rows[r], in ascending r
// source:   gradient of an embedding lookup
// operands: rows   f32 rows of 20, 20 values apart
//           index  i32 vector
//           leads  i32 vector
//           next   i32 vector
//           out    f32 rows of 20, 20 values apart
//           rows   u32, rows of this run
// tile:     four elements per thread, and all others of the same index
// chosen:   every tile owns some entries and reads all indices, so no two tiles write one entry
// used by:  embedding wgrad (model.width)
// spec:     tiny-formulas
// template: templates/wgsl/scatter-add.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> rows: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> index: array<i32>;
@group(0) @binding(2) var<storage, read_write> leads: array<i32>;
@group(0) @binding(3) var<storage, read_write> next: array<i32>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(5) var<uniform> words: Words;

fn load_rows(i: u32) -> vec4f {
  return rows[i];
}

fn index_at(i: u32) -> i32 {
  return index[i];
}

fn leads_at(i: u32) -> i32 {
  return leads[i];
}

fn next_at(i: u32) -> i32 {
  return next[i];
}

fn load_out(i: u32) -> vec4f {
  return out[i];
}

fn store_out(i: u32, value: vec4f) {
  out[i] = value;
}

const VECTORS = 5u;
/// Threads that share a row.
const LANES = 5u;
const ROWS_PITCH = 5u;
const OUT_PITCH = 5u;

@compute @workgroup_size(64)
fn scatter_add_w20(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let item = tile * 64u + thread;
  let first = item / LANES;
  if (first >= words.rows) {
    return;
  }
  // The first row of an index adds all of them, so that no two threads write one entry.
  if (leads_at(first) == 0) {
    return;
  }
  let entry = u32(index_at(first));
  for (var vector = item % LANES; vector < VECTORS; vector += LANES) {
    let at = entry * OUT_PITCH + vector;
    var sum = load_out(at);
    for (var row = first; row < words.rows; row = u32(next_at(row))) {
      sum += load_rows(row * ROWS_PITCH + vector);
    }
    store_out(at, sum);
  }
}
