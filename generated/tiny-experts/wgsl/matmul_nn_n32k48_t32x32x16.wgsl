// matmul_nn_n32k48_t32x32x16: The product of two matrices.
//
// formula:  out[m, n] = Σ_k a[m, k] · b[k, n], in ascending k
// source:   blocking: Goto and van de Geijn, doi:10.1145/1356052.1356053
// operands: a     f32 rows of 48, 48 values apart
//           b     f32 rows of 32, 32 values apart
//           out   f32 rows of 32, 32 values apart
//           rows  u32, rows of a and out of this run
// tile:     32 rows by 32 columns, 4 by 4 per thread; contraction 16 at a time through workgroup memory
// chosen:   it is a product of two matrices
// used by:  layers[0].ffn.up dgrad (model.ffn.intermediate)
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

const COLUMNS = 32u;
const DEPTH = 48u;
// Vectors from row to row.
const A_PITCH = 12u;
const B_PITCH = 8u;
const OUT_PITCH = 8u;
const TILE_ROWS = 32u;
const TILE_COLUMNS = 32u;
const COLUMN_TILES = 1u;

/// Column i of the block is a[row + i, k .. k + 3].
fn a_block(row: u32, k: u32, rest: u32) -> mat4x4f {
  let at = row * A_PITCH + k / 4u;
  return mat4x4f(load_a(at), load_a(at + A_PITCH), load_a(at + 2u * A_PITCH), load_a(at + 3u * A_PITCH));
}

/// Column i of the block is b[k + i, column .. column + 3].
fn b_block(k: u32, column: u32, rest: u32) -> mat4x4f {
  let at = k * B_PITCH + column / 4u;
  return mat4x4f(load_b(at), load_b(at + B_PITCH), load_b(at + 2u * B_PITCH), load_b(at + 3u * B_PITCH));
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
    // Threads side by side read along a row.
    return vec2u(thread / (TILE_DEPTH / 4u), thread % (TILE_DEPTH / 4u));
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
fn matmul_nn_n32k48_t32x32x16(
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
