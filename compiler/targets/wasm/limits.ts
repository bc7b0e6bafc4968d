// What the hardware below wasm wants of sizes.

/** A product's tile is computed in registers of two rows by 16 columns; the contraction may be cut anywhere. */
export const tileStep = { rows: 2, columns: 16, depth: 1 } as const;
