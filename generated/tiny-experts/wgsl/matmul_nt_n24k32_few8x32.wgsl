// matmul_nt_n24k32_few8x32: The product of two matrices.
//
// formula:  out[m, n] = Σ_k a[m, k] · b[n, k], every 8th four k by one thread
// source:   blocking: Goto and van de Geijn, doi:10.1145/1356052.1356053
// operands: a     f32 rows of 32, 32 values apart
//           b     f32 rows of 32, 32 values apart
//           out   f32 rows of 24, 24 values apart
//           rows  u32, rows of a and out of this run
// tile:     8 rows by 32 columns, whose contraction 8 threads share
// chosen:   it is a product of two matrices
// used by:  layers[0..2].attention.q_down fprop (model.attention)
//           mtp[0].attention.q_down fprop (model.attention)
// spec:     tiny-experts
// template: templates/wgsl/matmul.wgsl.hbs
struct Words {
  rows: u32,
}

@group(0) @binding(0) var<storage, read_write> a: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(3) var<uniform> words: Words;

fn load_a(i: u32) -> vec4f {
  return a[i];
}

fn load_b(i: u32) -> vec4f {
  return b[i];
}

fn store_out(i: u32, value: vec4f) {
  out[i] = value;
}

const COLUMNS = 24u;
const DEPTH = 32u;
// Vectors from row to row.
const A_PITCH = 8u;
const B_PITCH = 8u;
const OUT_PITCH = 6u;
const TILE_ROWS = 8u;
const TILE_COLUMNS = 32u;
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
const COLUMN_VECTORS = 8u;
const COLUMN_STEP = 8u;

var<workgroup> lane_sums: array<mat4x4f, 64>;

/// The sum over all lanes, in halves; only lane 0 has all of it.
fn sum_of_lanes(thread: u32, lane: u32, sums: mat4x4f) -> mat4x4f {
  // Whoever still reads the last sums goes first.
  workgroupBarrier();
  lane_sums[thread] = sums;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    // What is added is there.
    workgroupBarrier();
    if (lane < half) {
      lane_sums[thread] += lane_sums[thread + half * LANE_STEP];
    }
  }
  return lane_sums[thread];
}

/// Stores four columns of a row, with what is added to the product.
fn put_four(row: u32, row_end: u32, column: u32, sums: vec4f) {
  if (row >= row_end) {
    return;
  }
  let at = row * OUT_PITCH + column / 4u;
  store_out(at, sums);
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

@compute @workgroup_size(64)
fn matmul_nt_n24k32_few8x32(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let row_end = words.rows;
  let depth = DEPTH;
  let tile_row = (tile / COLUMN_TILES) * TILE_ROWS;
  let tile_column = (tile % COLUMN_TILES) * TILE_COLUMNS;
  let a_k = 0u;
  let b_k = 0u;
  let b_first = 0u;
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
  let upper_sums = sum_of_lanes(thread, lane, upper);
  if (lane == 0u) {
    put_block(tile_row, row_end, column, upper_sums);
  }
  if (has_lower) {
    let lower_sums = sum_of_lanes(thread, lane, lower);
    if (lane == 0u) {
      put_block(tile_row + 4u, row_end, column, lower_sums);
    }
  }
}
