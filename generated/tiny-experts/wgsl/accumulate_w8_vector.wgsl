// accumulate_w8_vector: Adds a value to state, or overwrites it where the flag `first` is not 0.
//
// formula:  y = if(first != 0, value, state + value)
// source:   gradient accumulation over micro-batches
// operands: state  f32 vector
//           value  f32 vector
//           first  f32 scalar
//           rows   u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  layers[1..2].ffn.router fprop (model.ffn.router)
//           mtp[0].ffn.router fprop (model.ffn.router)
// spec:     tiny-experts
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
  first: u32,
}

@group(0) @binding(0) var<storage, read_write> state: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> value: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> scalars: array<f32>;
@group(0) @binding(3) var<uniform> words: Words;

fn load_state(i: u32) -> vec4f {
  return state[i];
}

fn store_state(i: u32, value: vec4f) {
  state[i] = value;
}

fn load_value(i: u32) -> vec4f {
  return value[i];
}

const LANES = 8u;
const VECTORS = 2u;

@compute @workgroup_size(64)
fn accumulate_w8_vector(
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
  let first_2 = scalars[words.first];
  let equal = (first_2 == 0.0f);
  let not = !(equal);
  let value_2 = load_value(row * 2u + vector);
  store_state(row * 2u + vector, select(load_state(row * 2u + vector) + value_2, value_2, vec4<bool>(not)));
}
