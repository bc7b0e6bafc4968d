// sum_squares_w20p1_vector: Adds the squares of the elements of each chunk; 0 behind the last one.
//
// formula:  parts[chunk] = Σ x * x over 16384 elements
// source:   sums in chunks that depend on shape alone
// operands: x      f32 vector
//           parts  f32 vector
//           rows   u32, rows of this run
// tile:     16384 elements per workgroup of 256, side by side
// chosen:   one number from many: partial sums of fixed chunks, combined in order
// used by:  update update (train.clip)
// spec:     tiny-formulas
// template: templates/wgsl/reduce-partial.wgsl.hbs
enable subgroups;
requires subgroup_id;

struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> parts: array<f32>;
@group(0) @binding(2) var<uniform> words: Words;

fn load_x(i: u32) -> vec4f {
  return x[i];
}

fn put_parts(i: u32, value: f32) {
  parts[i] = value;
}

const WIDTH = 20u;
const VECTORS = 5u;
const PITCH = 0u;
const CHUNK = 4096u;
const PARTS = 1u;
const ROOM = 64u;
const THREADS = 256u;

/// The invocation's subgroup, and how many a workgroup has: only the entry point is told.
var<private> subgroup: u32;
var<private> subgroups: u32;

var<workgroup> shared_parts: array<f32, THREADS>;

/// The sum over all threads of the workgroup: within subgroups, then over them in order; every thread gets it.
fn workgroup_sum(thread: u32, value: f32) -> f32 {
  let own = subgroupAdd(value);
  // Whoever still reads the last result goes first.
  workgroupBarrier();
  if (subgroupElect()) {
    shared_parts[subgroup] = own;
  }
  // What every subgroup has is there.
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < subgroups; i++) {
    sum += shared_parts[i];
  }
  return sum;
}

/// The largest value of all threads.
fn workgroup_maximum(thread: u32, value: f32) -> f32 {
  let own = subgroupMax(value);
  // Whoever still reads the last result goes first.
  workgroupBarrier();
  if (subgroupElect()) {
    shared_parts[subgroup] = own;
  }
  // What every subgroup has is there.
  workgroupBarrier();
  var maximum = shared_parts[0];
  for (var i = 0u; i < subgroups; i++) {
    maximum = max(maximum, shared_parts[i]);
  }
  return maximum;
}

/// Where the vector stands: rows of some formats end in padding.
fn place_of(i: u32) -> u32 {
  return i;
}

/// What four elements add; what lies behind the end of a row is nothing.
fn summand(i: u32) -> vec4f {
  let x = load_x(place_of(i));
  let value = x * x;
  return value;
}

@compute @workgroup_size(256)
fn sum_squares_w20p1_vector(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) own_subgroup: u32,
  @builtin(num_subgroups) all_subgroups: u32,
) {
  let tile = group.x + group.y * groups.x;
  subgroup = own_subgroup;
  subgroups = all_subgroups;
  if (tile >= PARTS) {
    return;
  }
  // Side by side, so that the threads together read whole lines of memory.
  let end = min((tile + 1u) * CHUNK, words.rows * VECTORS);
  var sum = vec4f(0.0);
  for (var i = tile * CHUNK + thread; i < end; i += THREADS) {
    sum += summand(i);
  }
  let total = workgroup_sum(thread, (sum.x + sum.y) + (sum.z + sum.w));
  if (thread == 0u) {
    put_parts(tile, total);
  }
  // Less than 64 places behind the last chunk.
  if (tile == 0u && PARTS + thread < ROOM) {
    put_parts(PARTS + thread, 0.0);
  }
}
