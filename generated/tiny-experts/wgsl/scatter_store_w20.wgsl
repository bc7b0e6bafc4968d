// scatter_store_w20: Writes rows into the slots of a cache that an index names; a negative index writes nothing.
//
// formula:  y[index[r]] = rows[r] where index[r] >= 0; other slots keep state
// source:   key-value cache; pages: Kwon et al., arXiv:2309.06180
// operands: rows   f32 rows of 20, 20 values apart
//           index  i32 vector
//           out    f32 rows of 20, 20 values apart
//           rows   u32, rows of this run
// tile:     four elements per thread
// chosen:   it copies rows to slots that differ
// used by:  layers[0..2].attention.core fprop (serve)
//           mtp[0].attention.core fprop (serve)
// spec:     tiny-experts
// template: templates/wgsl/scatter-store.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> rows: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> index: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(3) var<uniform> words: Words;

fn load_rows(i: u32) -> vec4f {
  return rows[i];
}

fn index_at(i: u32) -> i32 {
  return index[i];
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
fn scatter_store_w20(
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
  let slot = index_at(row);
  if (slot < 0) {
    return;
  }
  for (var vector = item % LANES; vector < VECTORS; vector += LANES) {
    store_out(u32(slot) * OUT_PITCH + vector, load_rows(row * ROWS_PITCH + vector));
  }
}
