// scatter_link: Finds for every row whether it is the first of its index, and the next one of the same index.
//
// formula:  next[r] = the least s > r with index[s] = index[r], or rows; leads[r] = no s < r has index[s] = index[r]
// source:   gradient of an embedding lookup
// operands: index  i32 vector
//           leads  i32 vector
//           next   i32 vector
//           rows   u32, rows of this run
// tile:     one row per thread, which reads all indices
// chosen:   every tile owns some entries and reads all indices, so no two tiles write one entry
// used by:  embedding wgrad (model.width)
// spec:     tiny
// template: templates/wgsl/scatter-link.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> index: array<vec4i>;
@group(0) @binding(1) var<storage, read_write> leads: array<i32>;
@group(0) @binding(2) var<storage, read_write> next: array<i32>;
@group(0) @binding(3) var<uniform> words: Words;

fn load_index(i: u32) -> vec4i {
  return index[i];
}

fn index_at(i: u32) -> i32 {
  return index[i / 4u][i % 4u];
}

fn put_leads(i: u32, value: i32) {
  leads[i] = value;
}

fn put_next(i: u32, value: i32) {
  next[i] = value;
}

@compute @workgroup_size(64)
fn scatter_link(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let row = tile * 64u + thread;
  if (row >= words.rows) {
    return;
  }
  let entry = index_at(row);
  // A negative index names no entry, so that nobody leads its rows.
  var leads = entry >= 0;
  var next = words.rows;
  // All threads read the same four indices at a time.
  for (var four = 0u; 4u * four < words.rows; four++) {
    let other = vec4u(4u * four) + vec4u(0u, 1u, 2u, 3u);
    let is_same = load_index(four) == vec4i(entry);
    leads = leads && !any(is_same & (other < vec4u(row)));
    // What stands behind the last row is no nearer than the end.
    let behind = select(vec4u(words.rows), other, is_same & (other > vec4u(row)));
    next = min(next, min(min(behind.x, behind.y), min(behind.z, behind.w)));
  }
  put_leads(row, i32(leads));
  put_next(row, i32(next));
}
