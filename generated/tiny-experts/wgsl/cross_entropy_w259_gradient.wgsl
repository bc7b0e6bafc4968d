// cross_entropy_w259_gradient: The cross-entropy of rows of logits x, and its gradient d_x in the logits' place.
//
// formula:  let m = max(x); let e = exp(x - m); let s = sum(e); loss = if(0 <= label, m + log(s) - pick(x, max(label, 0)), 0); d_x = if(column == max(label, 0), -if(0 <= label, d_loss, 0), 0) + e * if(0 <= label, d_loss, 0) / s
// source:   cross-entropy of a softmax; chunked head: Wijmans et al., arXiv:2411.09009
// operands: logits   f32 rows of 259, 260 values apart
//           targets  i32 vector
//           losses   f32 vector
//           scale    f32 scalar
//           rows     u32, rows of this run
// tile:     one row per workgroup of 64
// chosen:   logits, loss and both gradients of one chunk of rows at a time
// used by:  loss fprop (model.vocab)
//           mtp[0].loss fprop (model.mtp)
// spec:     tiny-experts
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
  scale: u32,
}

@group(0) @binding(0) var<storage, read_write> logits: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> targets: array<i32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;
@group(0) @binding(3) var<storage, read_write> scalars: array<f32>;
@group(0) @binding(4) var<uniform> words: Words;

fn logits_at(i: u32) -> f32 {
  return logits[i / 4u][i % 4u];
}

fn load_logits(i: u32) -> vec4f {
  return logits[i];
}

fn store_logits(i: u32, value: vec4f) {
  logits[i] = value;
}

fn targets_at(i: u32) -> i32 {
  return targets[i];
}

fn put_losses(i: u32, value: f32) {
  losses[i] = value;
}

/// A question to the bits: compilers may assume that there is no NaN.
fn is_nan4(x: vec4f) -> vec4<bool> {
  return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

/// e^x = 2^n e^r with |r| <= ln 2 / 2; 2^n in two factors, so that neither overflows before its time.
fn exp4(x: vec4f) -> vec4f {
  let bounded = clamp(x, vec4f(-104.0), vec4f(89.0));
  let n = floor(bounded * 1.4426950408889634 + 0.5);
  let r = (bounded - n * 0.693359375) - n * -2.1219444e-4;
  let mantissa = r * r * ((((0.0013814320554956794 * r + 0.00836885068565607) * r + 0.041668400168418884) * r + 0.1666651964187622) * r + 0.4999999403953552) + r + 1.0;
  let half = vec4i(n) >> vec4u(1u);
  let rest = vec4i(n) - half;
  let low = bitcast<vec4f>((half + 127) << vec4u(23u));
  let high = bitcast<vec4f>((rest + 127) << vec4u(23u));
  return select(mantissa * low * high, x, is_nan4(x));
}

/// log x = e ln 2 + f - f^2/2 + f^3 q(f) with x = 2^e (1 + f), 1 + f in [sqrt(1/2), sqrt(2)).
fn log1(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let m = bitcast<f32>((bits & u32(0x7fffffu)) | u32(0x3f000000u));
  let is_low = m < f32(0.70710677);
  let e = f32(i32(bits >> 23u) - 126) - select(f32(0.0), f32(1.0), is_low);
  let f = select(m, m + m, is_low) - 1.0;
  let square = f * f;
  let small = f * square * ((((((((0.06746640801429749 * f + -0.11675652116537094) * f + 0.11888162046670914) * f + -0.1240558922290802) * f + 0.14219552278518677) * f + -0.1666799634695053) * f + 0.2000211924314499) * f + -0.25000008940696716) * f + 0.3333331346511841) + e * -2.1219444e-4;
  let value = (f + (small - square * 0.5)) + e * 0.693359375;
  let minus_infinity = bitcast<f32>(max(bits, u32(0xff800000u)));
  let is_zero = bits << 1u < u32(0x1000000u);
  let is_odd = bits >= u32(0x7f800000u);
  let odd = select(x, bitcast<f32>(bits | u32(0x7fc00000u)), bits > u32(0x80000000u));
  return select(select(value, odd, is_odd), minus_infinity, is_zero);
}

const LANES = 259u;
const VECTORS = 65u;
const THREADS = 64u;

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

@compute @workgroup_size(64)
fn cross_entropy_w259_gradient(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let first = tile * 1u;
  let end = min(first + 1u, words.rows);
  let d_loss = scalars[words.scale];
  for (var row = first; row < end; row++) {
    // phase 1: maximum of the row
    let label = targets_at(row);
    let less_or_equal = (0 <= label);
    let max_ = max(label, 0);
    let pick = logits_at(row * 260u + u32(max_));
    let select_ = select(0.0f, d_loss, less_or_equal);
    let negate = -select_;
    var m_part = vec4f(-3.4028234663852886e+38f);
    for (var vector = thread; vector < VECTORS; vector += THREADS) {
      m_part = max(m_part, select(vec4f(-3.4028234663852886e+38f), load_logits(row * 65u + vector), vec4u(4u * vector) + vec4u(0u, 1u, 2u, 3u) < vec4u(LANES)));
    }
    let m = workgroup_maximum(thread, max(max(m_part.x, m_part.y), max(m_part.z, m_part.w)));
    // phase 2: sum of the row
    var s_part = vec4f(0.0);
    for (var vector = thread; vector < VECTORS; vector += THREADS) {
      let e = exp4(load_logits(row * 65u + vector) - m);
      s_part += select(vec4f(0.0), e, vec4u(4u * vector) + vec4u(0u, 1u, 2u, 3u) < vec4u(LANES));
    }
    let s = workgroup_sum(thread, (s_part.x + s_part.y) + (s_part.z + s_part.w));
    // phase 3: loss, d_x
    let log_ = log1(s);
    let add = m + log_;
    let subtract = add - pick;
    let select__2 = select(0.0f, subtract, less_or_equal);
    let reciprocal = 1.0f / s;
    let multiply = select_ * reciprocal;
    if (thread == 0u) {
      put_losses(row, select__2);
    }
    for (var vector = thread; vector < VECTORS; vector += THREADS) {
      let e_2 = exp4(load_logits(row * 65u + vector) - m);
      store_logits(row * 65u + vector, select(vec4f(0.0f), vec4f(negate), ((i32(4u * vector) + vec4i(0, 1, 2, 3)) == vec4i(max_))) + e_2 * multiply);
    }
  }
}
