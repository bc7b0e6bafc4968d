// What every adapter grants a workgroup, and the tiles of products that fit into it.

/** Invocations and bytes of workgroup memory that need not be asked for. */
export const mostThreads = 256;
const workgroupBytes = 16384;
/** What kernels of products keep there beside two tiles: whose rows they are. */
const keptBytes = 16;

/** Edges of tiles: threads have blocks of four by four, and fewer than eight blocks along an edge leave threads idle. */
export const tileStep = { rows: 32, columns: 32, depth: 4 } as const;

interface TileEdges {
  readonly rows: number;
  readonly columns: number;
}

/** Rows and columns that a thread has of a tile: four by four, or eight by eight where the threads would be too many. */
export const threadBlock = ({ rows, columns }: TileEdges): 4 | 8 => ((rows * columns) / 16 <= mostThreads ? 4 : 8);

export const threadsOf = (tile: TileEdges): number => (tile.rows * tile.columns) / threadBlock(tile) ** 2;

/** How deep a tile may be: both operands' parts fit into memory, in blocks of four by four of which a thread moves one. */
export function deepestTile(tile: TileEdges): number {
  const edges = tile.rows + tile.columns;
  const fits = (workgroupBytes - keptBytes) / (4 * edges);
  const moved = (16 * threadsOf(tile)) / edges;
  return Math.floor(Math.min(fits, moved) / tileStep.depth) * tileStep.depth;
}
