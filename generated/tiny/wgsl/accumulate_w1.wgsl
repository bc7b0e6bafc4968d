// accumulate_w1: Adds a value to state, or overwrites it where the flag `first` is not 0.
//
// formula:  y = if(first != 0, value, state + value)
// source:   gradient accumulation over micro-batches
// operands: state  f32 scalar
//           value  f32 scalar
//           first  f32 scalar
//           rows   u32, rows of this run
// tile:     four elements per thread
// chosen:   it is a formula: one pass per phase over its operands
// used by:  loss fprop (model.vocab)
// spec:     tiny
// template: templates/wgsl/formula.wgsl.hbs
struct Words {
  rows: u32,
  state: u32,
  value: u32,
  first: u32,
}

@group(0) @binding(0) var<storage, read_write> scalars: array<f32>;
@group(0) @binding(1) var<uniform> words: Words;

const LANES = 1u;
const VECTORS = 1u;

@compute @workgroup_size(64)
fn accumulate_w1(
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
  let value = vec4f(scalars[words.value]);
  scalars[words.state] = select(vec4f(scalars[words.state]) + value, value, vec4<bool>(not)).x;
}
