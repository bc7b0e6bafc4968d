// finish_sum: Adds partial sums in order.
//
// formula:  out = Σ parts
// source:   sums in chunks that depend on shape alone
// operands: parts  f32 vector
//           out    f32 scalar
//           parts  u32, vectors of partial sums of this run
// tile:     all by one workgroup of 256
// chosen:   one number from many: partial sums of fixed chunks, combined in order
// used by:  loss fprop (model.ffn.router.losses)
//           loss fprop (model.vocab)
//           mtp[0].loss fprop (model.mtp)
// spec:     tiny-experts
// template: templates/wgsl/reduce-finish.wgsl.hbs
enable subgroups;
requires subgroup_id;

struct Words {
  parts: u32,
  out: u32,
}

@group(0) @binding(0) var<storage, read_write> parts: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> scalars: array<f32>;
@group(0) @binding(2) var<uniform> words: Words;

fn load_parts(i: u32) -> vec4f {
  return parts[i];
}
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

@compute @workgroup_size(256)
fn finish_sum(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) own_subgroup: u32,
  @builtin(num_subgroups) all_subgroups: u32,
) {
  let tile = group.x + group.y * groups.x;
  subgroup = own_subgroup;
  subgroups = all_subgroups;
  var sum = vec4f(0.0);
  for (var i = thread; i < words.parts; i += 256u) {
    sum += load_parts(i);
  }
  let total = workgroup_sum(thread, (sum.x + sum.y) + (sum.z + sum.w));
  if (thread == 0u) {
    scalars[words.out] = total;
  }
}
