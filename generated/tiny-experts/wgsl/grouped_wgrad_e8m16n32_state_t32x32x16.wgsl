// grouped_wgrad_e8m16n32_state_t32x32x16: For each expert the product over its own rows; an expert without rows adds nothing.
//
// formula:  out[e, m, n] = Σ_r a[r, m] · b[r, n] over the rows r of expert e + out unless first, in ascending r
// source:   grouped products: Gale et al., arXiv:2211.15841
// operands: a      f32 rows of 16, 16 values apart
//           b      f32 rows of 32, 32 values apart
//           start  i32 vector
//           count  i32 vector
//           out    f32 rows of 32, 32 values apart
//           first  f32 scalar
// tile:     32 rows of one expert's matrix by 32 columns, 4 by 4 per thread; contraction 16 at a time through workgroup memory
// chosen:   tiles of one expert's weight each
// used by:  layers[1..2].ffn.experts.gate wgrad (model.ffn.experts)
//           layers[1..2].ffn.experts.up wgrad (model.ffn.experts)
//           mtp[0].ffn.experts.gate wgrad (model.ffn.experts)
//           mtp[0].ffn.experts.up wgrad (model.ffn.experts)
// spec:     tiny-experts
// template: templates/wgsl/grouped-wgrad.wgsl.hbs
struct Words {
  first: u32,
}

@group(0) @binding(0) var<storage, read_write> a: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> start: array<i32>;
@group(0) @binding(3) var<storage, read_write> count: array<i32>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> scalars: array<f32>;
@group(0) @binding(6) var<uniform> words: Words;

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

fn load_out(i: u32) -> vec4f {
  return out[i];
}

fn store_out(i: u32, value: vec4f) {
  out[i] = value;
}

const EXPERTS = 8u;
// Rows and columns of one expert's matrix.
const ROWS = 16u;
const COLUMNS = 32u;
// Vectors from row to row.
const A_PITCH = 4u;
const B_PITCH = 8u;
const OUT_PITCH = 8u;
const TILE_ROWS = 32u;
const TILE_COLUMNS = 32u;
const ROW_TILES = 1u;
const COLUMN_TILES = 1u;

/// Column i of the block is a[k .. k + 3, row + i], where rows behind the contraction's end are 0, whatever stands there.
fn a_block(row: u32, k: u32, rest: u32) -> mat4x4f {
  let at = k * A_PITCH + row / 4u;
  return transpose(mat4x4f(
    load_a(at),
    select(vec4f(0.0), load_a(at + A_PITCH), rest > 1u),
    select(vec4f(0.0), load_a(at + 2u * A_PITCH), rest > 2u),
    select(vec4f(0.0), load_a(at + 3u * A_PITCH), rest > 3u),
  ));
}

/// Column i of the block is b[k + i, column .. column + 3], where rows behind the contraction's end are 0.
fn b_block(k: u32, column: u32, rest: u32) -> mat4x4f {
  let at = k * B_PITCH + column / 4u;
  return mat4x4f(
    load_b(at),
    select(vec4f(0.0), load_b(at + B_PITCH), rest > 1u),
    select(vec4f(0.0), load_b(at + 2u * B_PITCH), rest > 2u),
    select(vec4f(0.0), load_b(at + 3u * B_PITCH), rest > 3u),
  );
}
const COLUMN_THREADS = 8u;

// A workgroup multiplies TILE_DEPTH columns of a at a time with as many rows of b: vectors of four rows, or columns, per k.
const TILE_DEPTH = 16u;
const A_VECTORS = 8u;
const B_VECTORS = 8u;
// Blocks of four by four: each thread moves at most one of them.
const A_BLOCKS = 32u;
const BLOCKS = 64u;

var<workgroup> a_tile: array<vec4f, 128>;
var<workgroup> b_tile: array<vec4f, 128>;

/// Where a vector stands among those of its k: threads that share rows write vectors of several k at once, and banks of memory
/// repeat every eight vectors.
fn turned(vector: u32, k: u32) -> u32 {
  return vector ^ (k / 4u * 2u % 8u);
}

/// Where the operands of a workgroup's tile begin.
struct Origin {
  row: u32,
  a_k: u32,
  b_k: u32,
  b_column: u32,
}

/// The block's place in its tile: its vector of rows, or columns, and its four k.
fn place_of(thread: u32) -> vec2u {
  if (thread < A_BLOCKS) {
    return vec2u(thread % A_VECTORS, thread / A_VECTORS);
  }
  let block = thread - A_BLOCKS;
  return vec2u(block % B_VECTORS, block / B_VECTORS);
}

/// The thread's block of the tile that begins at k; 0 behind the contraction's end.
fn fetch(thread: u32, at: Origin, k: u32, depth: u32) -> mat4x4f {
  let place = place_of(thread);
  let block_k = k + 4u * place.y;
  if (thread >= BLOCKS || block_k >= depth) {
    return mat4x4f();
  }
  if (thread < A_BLOCKS) {
    return transpose(a_block(at.row + 4u * place.x, at.a_k + block_k, depth - block_k));
  }
  return b_block(at.b_k + block_k, at.b_column + 4u * place.x, depth - block_k);
}

/// Puts a block where all threads read it, k by k.
fn share(thread: u32, block: mat4x4f) {
  let place = place_of(thread);
  if (thread < A_BLOCKS) {
    let first = 4u * place.y * A_VECTORS + turned(place.x, 4u * place.y);
    a_tile[first] = block[0];
    a_tile[first + A_VECTORS] = block[1];
    a_tile[first + 2u * A_VECTORS] = block[2];
    a_tile[first + 3u * A_VECTORS] = block[3];
  } else if (thread < BLOCKS) {
    let first = 4u * place.y * B_VECTORS + turned(place.x, 4u * place.y);
    b_tile[first] = block[0];
    b_tile[first + B_VECTORS] = block[1];
    b_tile[first + 2u * B_VECTORS] = block[2];
    b_tile[first + 3u * B_VECTORS] = block[3];
  }
}

/// Adds the products of four rows, in a, and four columns, in b; column i of the sums is row i.
fn multiply_add(sums: mat4x4f, a: vec4f, b: vec4f) -> mat4x4f {
  return mat4x4f(
    fma(b, vec4f(a.x), sums[0]),
    fma(b, vec4f(a.y), sums[1]),
    fma(b, vec4f(a.z), sums[2]),
    fma(b, vec4f(a.w), sums[3]),
  );
}

/// The first row of the expert, and how many it has.
var<workgroup> found: vec2u;

/// Rows of all matrices before this expert's.
var<private> out_row: u32;

/// Stores four columns of a row, with what is added to the product.
fn put_four(row: u32, row_end: u32, column: u32, sums: vec4f) {
  if (row >= row_end) {
    return;
  }
  let at = (out_row + row) * OUT_PITCH + column / 4u;
  // The flag says that this is the first micro-batch of a step: what the state holds is of the step before.
  store_out(at, sums + select(load_out(at), vec4f(0.0), scalars[words.first] != 0.0));
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
fn grouped_wgrad_e8m16n32_state_t32x32x16(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = group.x + group.y * groups.x;
  let row_tile = tile / COLUMN_TILES;
  let expert = row_tile / ROW_TILES;
  if (expert >= EXPERTS) {
    return;
  }
  let tile_row = (row_tile % ROW_TILES) * TILE_ROWS;
  let row_end = ROWS;
  let tile_column = (tile % COLUMN_TILES) * TILE_COLUMNS;
  out_row = expert * ROWS;
  // The contraction is over the rows of this expert alone; without any of them the sum is 0.
  // Where a barrier follows, what was read counts as different for each thread, unless one of them reads it for all.
  if (thread == 0u) {
    found = vec2u(u32(start_at(expert)), u32(count_at(expert)));
  }
  let rows = workgroupUniformLoad(&found);
  let depth = rows.y;
  let a_k = rows.x;
  let b_k = a_k;
  let b_first = 0u;
  if (tile_row >= row_end || tile_column >= COLUMNS) {
    return;
  }
  let at = Origin(tile_row, a_k, b_k, b_first + tile_column);
  let row_vector = thread / COLUMN_THREADS;
  let column_vector = thread % COLUMN_THREADS;
  var sums = mat4x4f();
  // One step more than there are: while blocks are on their way, those of the step before are multiplied.
  for (var k = 0u; k < depth + TILE_DEPTH; k += TILE_DEPTH) {
    let block = fetch(thread, at, k, depth);
    if (k > 0u) {
      for (var i = 0u; i < TILE_DEPTH; i++) {
        let a = a_tile[i * A_VECTORS + turned(row_vector, i)];
        let b = b_tile[i * B_VECTORS + turned(column_vector, i)];
        sums = multiply_add(sums, a, b);
      }
    }
    // Whoever still multiplies goes first.
    workgroupBarrier();
    share(thread, block);
    // Nobody multiplies before everything is shared.
    workgroupBarrier();
  }
  let row = tile_row + 4u * row_vector;
  let column = tile_column + 4u * column_vector;
  put_block(row, row_end, column, sums);
}
