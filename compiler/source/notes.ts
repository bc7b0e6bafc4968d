// Notes: why each stage decided what it decided. `mspec explain` prints these and never calculates a second time.

export interface Note {
  /** The operation or tensor that it is about, such as `layers[3].attention.q`. */
  readonly path: string;
  /** Of an operation that has several, such as `wgrad`. */
  readonly direction?: "fprop" | "dgrad" | "wgrad" | "update";
  /** The stage's word: precision, recompute, kernel, tile, memory, device. */
  readonly topic: string;
  readonly sentence: string;
}
