// router_z_loss_w8_vector: The square of the log-sum-exp of a router's logits.
//
// formula:  let m = max(x); let z = m + log(sum(exp(x - m))); loss = z^2
// source:   ST-MoE, arXiv:2202.08906, equation 5
// operands: x     f32 rows of 8, 8 values apart
//           loss  f32 vector
//           rows  u32, rows of this run
// tile:     one row per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[1..2].ffn.router fprop (model.ffn.router.losses.z)
//           mtp[0].ffn.router fprop (model.ffn.router.losses.z)
// spec:     tiny-experts
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> loss: array<f32>;
@group(0) @binding(2) var<uniform> words: Words;

fn load_x(i: u32) -> vec4f {
  return x[i];
}

fn put_loss(i: u32, value: f32) {
  loss[i] = value;
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

const LANES = 8u;
const VECTORS = 2u;

@compute @workgroup_size(64)
fn router_z_loss_w8_vector(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let row_tile = tile * 64u + thread;
  let first = row_tile * 1u;
  let end = min(first + 1u, words.rows);
  for (var row = first; row < end; row++) {
    // phase 1: maximum of the row
    var m_part = vec4f(-3.4028234663852886e+38f);
    for (var vector = 0u; vector < VECTORS; vector++) {
      m_part = max(m_part, load_x(row * 2u + vector));
    }
    let m = max(max(m_part.x, m_part.y), max(m_part.z, m_part.w));
    // phase 2: sum of the row
    var sum_part = vec4f(0.0);
    for (var vector = 0u; vector < VECTORS; vector++) {
      sum_part += exp4(load_x(row * 2u + vector) - m);
    }
    let sum = (sum_part.x + sum_part.y) + (sum_part.z + sum_part.w);
    // phase 3: loss
    let log_ = log1(sum);
    let z = m + log_;
    let multiply = z * z;
    put_loss(row, multiply);
  }
}
