// How far a model is from reference data: errors by quantity, each with the tolerance that references in f32 support. Double
// precision moves their logits by 1e-5, hidden states by 1e-6 of their length, and three steps of AdamW by 1e-4 of a change.

/** One error, such as that of a parameter's gradient. */
export interface VerifiedPart {
  readonly name: string;
  readonly error: number;
  /** Where in it the error is largest, if that is known. */
  readonly at: string;
}

/** What was compared of a quantity; at least one part. */
export interface Comparison {
  readonly quantity: Quantity;
  /** How it is measured. */
  readonly measure: string;
  readonly tolerance: number;
  /** In the order of the model. */
  readonly parts: readonly VerifiedPart[];
}

export interface Skipped {
  readonly quantity: string;
  readonly why: string;
}

export interface Verification {
  readonly comparisons: readonly Comparison[];
  readonly skipped: readonly Skipped[];
}

/** A wrong layer moves hidden states by more than 1e-3 of their length. */
const tolerances = {
  hidden: 1e-4,
  logits: 2e-4,
  mtp_logits: 2e-4,
  greedy: 0,
  loss: 1e-5,
  gradients: 1e-3,
  update: 1e-2,
} as const;
export type Quantity = keyof typeof tolerances;

/** Collects the errors of one quantity. */
export class Errors {
  readonly #quantity: Quantity;
  readonly #measure: string;
  readonly #parts: VerifiedPart[] = [];

  constructor(quantity: Quantity, measure: string) {
    this.#quantity = quantity;
    this.#measure = measure;
  }

  add(name: string, error: number, at = ""): void {
    this.#parts.push({ name, error: Number.isNaN(error) ? Number.POSITIVE_INFINITY : error, at });
  }

  /** None where nothing was compared. */
  result(): Comparison[] {
    if (this.#parts.length === 0) return [];
    const [quantity, measure] = [this.#quantity, this.#measure];
    return [{ quantity, measure, tolerance: tolerances[quantity], parts: this.#parts }];
  }
}

/** The index and size of the largest difference. */
export function furthest(
  got: Float32Array,
  expected: Float32Array,
): { readonly index: number; readonly error: number } {
  let [index, error] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(got[i] - expected[i]);
    if (difference <= error) continue;
    [index, error] = [i, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference];
  }
  return { index, error };
}

/** Euclidean length of a - b over that of b. */
export function relativeDistance(a: Float32Array, b: Float32Array): number {
  let [difference, length] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    length += b[i] ** 2;
  }
  return difference === 0 ? 0 : Math.sqrt(difference / length);
}
