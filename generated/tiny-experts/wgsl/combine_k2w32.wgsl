// combine_k2w32: Adds up the rows that a token was copied to.
//
// formula:  y[t] = Σ_k rows[place[t, k]], in ascending k
// source:   gradient of copies to experts; Shazeer et al., arXiv:1701.06538; DeepSeekMoE, arXiv:2401.06066
// operands: rows    f32 rows of 32, 32 values apart
//           place   i32 rows of 2, 4 values apart
//           y       f32 rows of 32, 32 values apart
//           tokens  u32, tokens of this run
// tile:     four elements per thread
// chosen:   every token adds its own rows, so nothing is added by two threads
// used by:  layers[1..2].ffn.dispatch dgrad (model.ffn.experts)
//           mtp[0].ffn.dispatch dgrad (model.ffn.experts)
// spec:     tiny-experts
// template: templates/wgsl/combine.wgsl.hbs
struct Words {
  tokens: u32,
}

@group(0) @binding(0) var<storage, read_write> rows: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> place: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<uniform> words: Words;

fn load_rows(i: u32) -> vec4f {
  return rows[i];
}

fn place_at(i: u32) -> i32 {
  return place[i];
}

fn store_y(i: u32, value: vec4f) {
  y[i] = value;
}

const VECTORS = 8u;
/// Threads that share a row.
const LANES = 8u;
const TOP_K = 2u;
const PLACE_PITCH = 4u;
const ROWS_PITCH = 8u;
const Y_PITCH = 8u;

@compute @workgroup_size(64)
fn combine_k2w32(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let item = tile * 64u + thread;
  let token = item / LANES;
  if (token >= words.tokens) {
    return;
  }
  // Where the token's rows begin, and what each counts.
  var starts: array<u32, TOP_K>;
  for (var k = 0u; k < TOP_K; k++) {
    starts[k] = u32(place_at(token * PLACE_PITCH + k)) * ROWS_PITCH;
  }
  for (var vector = item % LANES; vector < VECTORS; vector += LANES) {
    var sum = vec4f(0.0);
    for (var k = 0u; k < TOP_K; k++) {
      sum += load_rows(starts[k] + vector);
    }
    store_y(token * Y_PITCH + vector, sum);
  }
}
