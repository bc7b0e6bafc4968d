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

var<workgroup> shared_parts: array<f32, THREADS>;

/// The sum over all threads of the workgroup, in halves; every thread gets it.
fn workgroup_sum(thread: u32, value: f32) -> f32 {
  // Whoever still reads the last result goes first.
  workgroupBarrier();
  shared_parts[thread] = value;
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      shared_parts[thread] += shared_parts[thread + half];
    }
  }
  workgroupBarrier();
  return shared_parts[0];
}

/// The largest value of all threads.
fn workgroup_maximum(thread: u32, value: f32) -> f32 {
  workgroupBarrier();
  shared_parts[thread] = value;
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      shared_parts[thread] = max(shared_parts[thread], shared_parts[thread + half]);
    }
  }
  workgroupBarrier();
  return shared_parts[0];
}

@compute @workgroup_size(256)
fn finish_sum(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  var sum = vec4f(0.0);
  for (var i = thread; i < words.parts; i += 256u) {
    sum += load_parts(i);
  }
  let total = workgroup_sum(thread, (sum.x + sum.y) + (sum.z + sum.w));
  if (thread == 0u) {
    scalars[words.out] = total;
  }
}
