// scatter_clear_w32_state: Clears the entries that rows are added to, unless there is something in them.
//
// formula:  out = 0 where first
// source:   gradient of an embedding lookup
// operands: out      f32 rows of 32, 32 values apart
//           first    f32 scalar
//           entries  u32, entries of this run
// tile:     four elements per thread
// chosen:   every tile owns some entries and reads all indices, so no two tiles write one entry
// used by:  embedding wgrad (model.width)
// spec:     tiny
// template: templates/wgsl/scatter-clear.wgsl.hbs
struct Words {
  entries: u32,
  first: u32,
}

@group(0) @binding(0) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> scalars: array<f32>;
@group(0) @binding(2) var<uniform> words: Words;

fn store_out(i: u32, value: vec4f) {
  out[i] = value;
}

const VECTORS = 8u;
/// Threads that share a row.
const LANES = 8u;
const OUT_PITCH = 8u;

@compute @workgroup_size(64)
fn scatter_clear_w32_state(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  if (scalars[words.first] == 0.0) {
    return;
  }
  let item = tile * 64u + thread;
  let entry = item / LANES;
  if (entry >= words.entries) {
    return;
  }
  for (var vector = item % LANES; vector < VECTORS; vector += LANES) {
    store_out(entry * OUT_PITCH + vector, vec4f(0.0));
  }
}
