// grouped_matmul_nt_e8n16k32_few2x16: The product of each expert's rows with its own matrix; rows of nobody become 0.
//
// formula:  out[r, n] = Σ_k a[r, k] · b[e, n, k] for the rows r of expert e, every 8th four k by one thread
// source:   grouped products: Gale et al., arXiv:2211.15841
// operands: a      f32 rows of 32, 32 values apart
//           b      f32 rows of 32, 32 values apart
//           start  i32 vector
//           count  i32 vector
//           out    f32 rows of 16, 16 values apart
//           rows   u32, rows of a and out of this run
// tile:     2 rows of one expert by 16 columns, whose contraction 8 threads share
// chosen:   tiles of rows of one expert each, and none for an expert without rows
// used by:  layers[1..2].ffn.experts.gate fprop (model.ffn.experts)
//           layers[1..2].ffn.experts.up fprop (model.ffn.experts)
//           mtp[0].ffn.experts.gate fprop (model.ffn.experts)
//           mtp[0].ffn.experts.up fprop (model.ffn.experts)
// spec:     tiny-experts
// template: templates/wgsl/grouped-matmul.wgsl.hbs
enable subgroups;
requires subgroup_id;

struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> a: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> start: array<i32>;
@group(0) @binding(3) var<storage, read_write> count: array<i32>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(5) var<uniform> words: Words;

fn load_a(i: u32) -> vec4f {
  return a[i];
}

fn load_b(i: u32) -> vec4f {
  return b[i];
}

fn start_at(i: u32) -> i32 {
  return start[i];
}

fn count_at(i: u32) -> i32 {
  return count[i];
}

fn store_out(i: u32, value: vec4f) {
  out[i] = value;
}

const EXPERTS = 8u;
const COLUMNS = 16u;
const DEPTH = 32u;
// Rows of b that are one expert's.
const EXPERT_ROWS = 16u;
// Vectors from row to row.
const A_PITCH = 8u;
const B_PITCH = 8u;
const OUT_PITCH = 4u;
const TILE_ROWS = 2u;
const TILE_COLUMNS = 16u;
const COLUMN_TILES = 1u;

/// Column i of the block is a[row + i, k .. k + 3].
fn a_block(row: u32, k: u32, rest: u32) -> mat4x4f {
  let at = row * A_PITCH + k / 4u;
  return mat4x4f(load_a(at), load_a(at + A_PITCH), load_a(at + 2u * A_PITCH), load_a(at + 3u * A_PITCH));
}

/// Column i of the block is b[column .. column + 3, k + i].
fn b_block(k: u32, column: u32, rest: u32) -> mat4x4f {
  let at = column * B_PITCH + k / 4u;
  return transpose(mat4x4f(load_b(at), load_b(at + B_PITCH), load_b(at + 2u * B_PITCH), load_b(at + 3u * B_PITCH)));
}

// Threads that share a contraction, and how far apart they are; vectors of four columns of a workgroup, likewise.
const LANES = 8u;
const LANE_STEP = 1u;
const COLUMN_VECTORS = 4u;
const COLUMN_STEP = 8u;

/// [thread] what lanes that are together have added, at the first of them: four rows.
var<workgroup> lane_sums: array<mat4x4f, 32>;

/// The sum over lanes that are together: `together` lanes side by side, 1 to LANES, that are in one subgroup. LANES and LANE_STEP
/// are powers of two, so that a lane that a mask leads to is one of the same sum, and no other sum in the subgroup mixes with it.
fn sum_together(value: vec4f, together: u32) -> vec4f {
  var sum = value;
  for (var step = 1u; step < together; step *= 2u) {
    sum += subgroupShuffleXor(sum, step * LANE_STEP);
  }
  return sum;
}

/// Stores what all lanes add to, for each of the four rows that there is: within subgroups, then over them in order.
fn put_sums(row: u32, row_end: u32, column: u32, thread: u32, lane: u32, together: u32, sums: mat4x4f) {
  var own = mat4x4f();
  own[0] = sum_together(sums[0], together);
  if (row + 1u < row_end) {
    own[1] = sum_together(sums[1], together);
  }
  if (row + 2u < row_end) {
    own[2] = sum_together(sums[2], together);
  }
  if (row + 3u < row_end) {
    own[3] = sum_together(sums[3], together);
  }
  if (together == LANES) {
    if (lane == 0u) {
      put_block(row, row_end, column, own);
    }
    return;
  }
  // Whoever still reads the last sums goes first.
  workgroupBarrier();
  if (lane % together == 0u) {
    lane_sums[thread] = own;
  }
  // What every subgroup has is there.
  workgroupBarrier();
  // Lanes share the rows that there are.
  let first = thread - lane * LANE_STEP;
  for (var i = lane; i < min(4u, row_end - row); i += LANES) {
    var sum = vec4f(0.0);
    for (var other = 0u; other < LANES; other += together) {
      sum += lane_sums[first + other * LANE_STEP][i];
    }
    if (column < COLUMNS) {
      put_four(row + i, row_end, column, sum);
    }
  }
}

/// Which expert's rows a tile has: its first, the first behind the used ones, and the first that is another's.
struct Place {
  expert: u32,
  tile_row: u32,
  used_end: u32,
  row_end: u32,
}

/// The tile, counted from 0, at which an expert's rows begin.
fn first_tile_of(expert: u32) -> u32 {
  // Rows of an expert begin at even ones: two from an even one on are of the same expert.
  return u32(start_at(expert)) / TILE_ROWS;
}

/// The last expert that begins at a tile or before it has the tile; experts without rows stand before it.
fn place_of_tile(row_tile: u32) -> Place {
  var low = 0u;
  var high = EXPERTS - 1u;
  while (low < high) {
    let middle = (low + high + 1u) / 2u;
    if (first_tile_of(middle) <= row_tile) {
      low = middle;
    } else {
      high = middle - 1u;
    }
  }
  let start = u32(start_at(low));
  let tile_row = start + (row_tile - first_tile_of(low)) * TILE_ROWS;
  // What lies between an expert's last row and the next one's first is nobody's; so is all behind the last expert.
  var region_end = words.rows;
  if (low + 1u < EXPERTS) {
    region_end = u32(start_at(low + 1u));
  }
  return Place(low, tile_row, start + u32(count_at(low)), min(region_end, tile_row + TILE_ROWS));
}

var<workgroup> found: Place;

/// Rows of this tile from here on are nobody's.
var<private> used_end: u32;

/// Stores four columns of a row; those of nobody are 0.
fn put_four(row: u32, row_end: u32, column: u32, sums: vec4f) {
  if (row < row_end) {
    store_out(row * OUT_PITCH + column / 4u, select(vec4f(0.0), sums, row < used_end));
  }
}

/// Stores four rows of four columns; column i of the block is row i of the output.
fn put_block(row: u32, row_end: u32, column: u32, sums: mat4x4f) {
  if (column >= COLUMNS) {
    return;
  }
  put_four(row, row_end, column, sums[0]);
  put_four(row + 1u, row_end, column, sums[1]);
  put_four(row + 2u, row_end, column, sums[2]);
  put_four(row + 3u, row_end, column, sums[3]);
}

@compute @workgroup_size(32)
fn grouped_matmul_nt_e8n16k32_few2x16(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) own_index: u32,
  @builtin(subgroup_size) subgroup_size: u32,
  @builtin(subgroup_invocation_id) subgroup_thread: u32,
  @builtin(subgroup_id) own_subgroup: u32,
  @builtin(num_subgroups) all_subgroups: u32,
) {
  let tile = group.x + group.y * groups.x;
  // WGSL does not say which local indices make a subgroup, but it numbers subgroups, and the threads of one: where all are full,
  // the subgroup's number times its size plus the thread's number in it is one that no other thread has, and so are threads
  // counted. Sizes are powers of two: `reach` threads side by side, from a multiple of it on, are in one subgroup. Where one is
  // not full, threads keep their index and reach nobody. Size and number of subgroups are the same for the whole workgroup,
  // which takes every branch that they decide as one.
  let is_full = all_subgroups * subgroup_size == 32u;
  let thread = select(own_index, own_subgroup * subgroup_size + subgroup_thread, is_full);
  let reach = select(1u, subgroup_size, is_full);
  // Where a barrier follows, what was read counts as different for each thread, unless one of them reads it for all.
  if (thread == 0u) {
    found = place_of_tile(tile / COLUMN_TILES);
  }
  let place = workgroupUniformLoad(&found);
  let tile_row = place.tile_row;
  let row_end = place.row_end;
  used_end = place.used_end;
  let tile_column = (tile % COLUMN_TILES) * TILE_COLUMNS;
  let depth = select(DEPTH, 0u, tile_row >= place.used_end);
  let a_k = 0u;
  let b_k = 0u;
  let b_first = place.expert * EXPERT_ROWS;
  if (tile_row >= row_end || tile_column >= COLUMNS) {
    return;
  }
  let lane = thread / LANE_STEP % LANES;
  let column = tile_column + 4u * (thread / COLUMN_STEP % COLUMN_VECTORS);
  // Four columns and eight rows are a thread's, for its part of the contraction: b is read once for all rows.
  var upper = mat4x4f();
  var lower = mat4x4f();
  let has_lower = tile_row + 4u < row_end;
  for (var k = 4u * lane; k < depth; k += 4u * LANES) {
    let b = b_block(b_k + k, b_first + column, depth - k);
    upper += b * a_block(tile_row, a_k + k, depth - k);
    if (has_lower) {
      lower += b * a_block(tile_row + 4u, a_k + k, depth - k);
    }
  }
  let together = clamp(reach / LANE_STEP, 1u, LANES);
  put_sums(tile_row, row_end, column, thread, lane, together, upper);
  if (has_lower) {
    put_sums(tile_row + 4u, row_end, column, thread, lane, together, lower);
  }
}
