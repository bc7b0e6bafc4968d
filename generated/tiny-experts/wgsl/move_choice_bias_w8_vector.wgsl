// move_choice_bias_w8_vector: Moves the bias of experts with less than the mean load up, of those with more down.
//
// formula:  let even = sum(load) / columns; y = if(finite != 0, bias + if(load < even, rate, if(even < load, -rate, 0)), bias)
// source:   Wang et al., arXiv:2408.15664, algorithm 1; DeepSeek-V3, arXiv:2412.19437, section 2.1.2
// operands: bias    f32 vector
//           load    f32 vector
//           rate    f32 scalar
//           finite  f32 scalar
//           rows    u32, rows of this run
// tile:     one row per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[1..2].ffn.router update (model.ffn.router.bias_update)
//           mtp[0].ffn.router update (model.ffn.router.bias_update)
// spec:     tiny-experts
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
  rate: u32,
  finite: u32,
}

@group(0) @binding(0) var<storage, read_write> bias: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> load: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> scalars: array<f32>;
@group(0) @binding(3) var<uniform> words: Words;

fn load_bias(i: u32) -> vec4f {
  return bias[i];
}

fn store_bias(i: u32, value: vec4f) {
  bias[i] = value;
}

fn load_load(i: u32) -> vec4f {
  return load[i];
}

const LANES = 8u;
const VECTORS = 2u;

@compute @workgroup_size(64)
fn move_choice_bias_w8_vector(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let row_tile = tile * 64u + thread;
  let first = row_tile * 1u;
  let end = min(first + 1u, words.rows);
  let finite = scalars[words.finite];
  let equal = (finite == 0.0f);
  let not = !(equal);
  let count = 8.0f;
  let reciprocal = 1.0f / count;
  let rate = scalars[words.rate];
  let negate = -rate;
  for (var row = first; row < end; row++) {
    // phase 1: sum of the row
    var sum_part = vec4f(0.0);
    for (var vector = 0u; vector < VECTORS; vector++) {
      sum_part += load_load(row * 2u + vector);
    }
    let sum = (sum_part.x + sum_part.y) + (sum_part.z + sum_part.w);
    // phase 2: y
    let even = reciprocal * sum;
    for (var vector = 0u; vector < VECTORS; vector++) {
      let bias_2 = load_bias(row * 2u + vector);
      let load_2 = load_load(row * 2u + vector);
      store_bias(row * 2u + vector, select(bias_2, bias_2 + select(select(vec4f(0.0f), vec4f(negate), (vec4f(even) < load_2)), vec4f(rate), (load_2 < vec4f(even))), vec4<bool>(not)));
    }
  }
}
