// expert_fractions_e8k2t32: Each expert's share of the choices of a sequence, times the number of experts: 1 for all at balance.
//
// formula:  fractions[t, e] = experts / (2 · 32) · Σ 1[e among the 2 greatest scores of a row] over the 32 rows with t
// source:   f of the sequence-wise balance loss, DeepSeek-V3, arXiv:2412.19437, equation 18
// operands: chosen     i32 rows of 2, 4 values apart
//           fractions  f32 rows of 8, 8 values apart
//           rows       u32, rows of this run
// tile:     32 rows per workgroup
// chosen:   a tile counts the rows of one sequence
// used by:  layers[1..2].ffn.router fprop (model.ffn.router.losses.sequence)
//           mtp[0].ffn.router fprop (model.ffn.router.losses.sequence)
// spec:     tiny-experts
// template: templates/wgsl/expert-fractions-shared.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> chosen: array<i32>;
@group(0) @binding(1) var<storage, read_write> fractions: array<vec4f>;
@group(0) @binding(2) var<uniform> words: Words;

fn chosen_at(i: u32) -> i32 {
  return chosen[i];
}

fn store_fractions(i: u32, value: vec4f) {
  fractions[i] = value;
}

const THREADS = 256u;
const EXPERTS = 8u;
const TOP_K = 2u;
const VECTORS = 2u;
/// Rows that are counted together; they divide the rows.
const SEQUENCE = 32u;
const CHOSEN_PITCH = 4u;
const OUT_PITCH = 2u;
const SHARE: f32 = 0.125;

var<workgroup> counts: array<atomic<u32>, EXPERTS>;

/// An expert's share; there is none behind the last one.
fn share_of(e: u32) -> f32 {
  return SHARE * f32(atomicLoad(&counts[min(e, EXPERTS - 1u)]));
}

@compute @workgroup_size(256)
fn expert_fractions_e8k2t32(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let first = tile * SEQUENCE;
  if (first >= words.rows) {
    return;
  }
  // Counters begin at 0: not every adapter clears them.
  for (var e = thread; e < EXPERTS; e += THREADS) {
    atomicStore(&counts[e], 0u);
  }
  // Nobody counts before they are cleared.
  workgroupBarrier();
  for (var choice = thread; choice < SEQUENCE * TOP_K; choice += THREADS) {
    // Whole numbers: the sums do not depend on who is first.
    atomicAdd(&counts[chosen_at((first + choice / TOP_K) * CHOSEN_PITCH + choice % TOP_K)], 1u);
  }
  // All choices are counted.
  workgroupBarrier();
  for (var item = thread; item < SEQUENCE * VECTORS; item += THREADS) {
    let vector = item % VECTORS;
    let shares = vec4f(share_of(4u * vector), share_of(4u * vector + 1u), share_of(4u * vector + 2u), share_of(4u * vector + 3u));
    store_fractions((first + item / VECTORS) * OUT_PITCH + vector, shares);
  }
}
