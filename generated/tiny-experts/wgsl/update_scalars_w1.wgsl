// update_scalars_w1: Decides whether a step is finite, how far gradients are clipped, and the bias corrections of Adam.
//
// formula:  let ok = norm <= 3.4028235e+38; finite = if(ok, 1, 0); scale = if(ok && (0 < clip), min(clip / (norm + 0.000001), 1), 1); correction1 = if(ok, 0.9 * correction1 + 0.1, correction1); correction2 = if(ok, 0.95 * correction2 + 0.05, correction2); skipped = if(ok, skipped, skipped + 1)
// source:   arXiv:1711.05101; clipping: Pascanu et al., arXiv:1211.5063
// operands: norm         f32 scalar
//           clip         f32 scalar
//           correction1  f32 scalar
//           correction2  f32 scalar
//           skipped      f32 scalar
//           finite       f32 scalar
//           scale        f32 scalar
//           rows         u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  update update (train.optimizer)
// spec:     tiny-experts
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
  norm: u32,
  clip: u32,
  correction1: u32,
  correction2: u32,
  skipped: u32,
  finite: u32,
  scale: u32,
}

@group(0) @binding(0) var<storage, read_write> scalars: array<f32>;
@group(0) @binding(1) var<uniform> words: Words;

/// Neither infinite nor NaN: a question to the bits, as compilers may assume that there is neither.
fn is_finite4(x: vec4f) -> vec4<bool> {
  return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) < vec4u(0x7f800000u);
}

const LANES = 1u;
const VECTORS = 1u;

@compute @workgroup_size(64)
fn update_scalars_w1(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let index = tile * 64u + thread;
  let row = index / VECTORS;
  let vector = index % VECTORS;
  if (row >= words.rows) {
    return;
  }
  let norm = vec4f(scalars[words.norm]);
  let ok = is_finite4(norm);
  let clip = vec4f(scalars[words.clip]);
  let correction1 = vec4f(scalars[words.correction1]);
  let correction2 = vec4f(scalars[words.correction2]);
  let skipped = vec4f(scalars[words.skipped]);
  scalars[words.finite] = select(vec4f(0.0f), vec4f(1.0f), ok).x;
  scalars[words.scale] = select(vec4f(1.0f), min(clip / (9.999999974752427e-7f + norm), vec4f(1.0f)), (ok & (vec4f(0.0f) < clip))).x;
  scalars[words.correction1] = select(correction1, 0.10000000149011612f + correction1 * 0.8999999761581421f, ok).x;
  scalars[words.correction2] = select(correction2, 0.05000000074505806f + correction2 * 0.949999988079071f, ok).x;
  scalars[words.skipped] = select(1.0f + skipped, skipped, ok).x;
}
