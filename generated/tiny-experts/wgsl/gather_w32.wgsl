// gather_w32: Takes the rows of a table that an index names, such as token embeddings; a negative index yields zeros.
//
// formula:  y[r] = table[index[r]], or 0 where index[r] < 0
// source:   embedding lookup
// operands: table  f32 rows of 32, 32 values apart
//           index  i32 vector
//           out    f32 rows of 32, 32 values apart
//           rows   u32, rows of this run
// tile:     four elements per thread
// chosen:   it copies rows by index
// used by:  embedding fprop (model.width)
//           head fprop (model.vocab)
//           mtp[0].embedding fprop (model.width)
// spec:     tiny-experts
// template: templates/wgsl/gather.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> table: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> index: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(3) var<uniform> words: Words;

fn load_table(i: u32) -> vec4f {
  return table[i];
}

fn index_at(i: u32) -> i32 {
  return index[i];
}

fn store_out(i: u32, value: vec4f) {
  out[i] = value;
}

const VECTORS = 8u;
/// Threads that share a row.
const LANES = 8u;
const TABLE_PITCH = 8u;
const OUT_PITCH = 8u;

@compute @workgroup_size(64)
fn gather_w32(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let item = tile * 64u + thread;
  let row = item / LANES;
  if (row >= words.rows) {
    return;
  }
  let entry = index_at(row);
  for (var vector = item % LANES; vector < VECTORS; vector += LANES) {
    var value = vec4f(0.0);
    if (entry >= 0) {
      value = load_table(u32(entry) * TABLE_PITCH + vector);
    }
    store_out(row * OUT_PITCH + vector, value);
  }
}
