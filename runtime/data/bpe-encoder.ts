// Merges the characters of words into tokens. Holds a word in flat arrays and its next merges in a heap of numbers, so
// that a word of a megabyte takes n log n steps and no garbage.

type Merges = readonly (readonly [string, string])[];

/** Ids stay below 2^26, so a pair is a whole number that f64 holds. */
const PAIR = 2 ** 26;
/** A merge in the heap is its rank times 2^30 plus its place: the first merge comes first, from left to right. */
const PLACE = 2 ** 30;

export class BpeEncoder {
  readonly #ids = new Map<string, number>();
  /** The rank of each pair; of a pair that is listed twice the last, as in the `tokenizers` library. */
  readonly #ranks = new Map<number, number>();
  /** What each merge makes, by rank. */
  readonly #made: Int32Array;

  constructor(merges: Merges) {
    const id = (token: string): number => {
      const known = this.#ids.get(token);
      if (known !== undefined) return known;
      this.#ids.set(token, this.#ids.size);
      return this.#ids.size - 1;
    };
    this.#made = Int32Array.from(merges, ([left, right], rank) => {
      this.#ranks.set(id(left) * PAIR + id(right), rank);
      return id(left + right);
    });
  }

  /** The pieces that a word of characters becomes; joined they are the word. Characters without merges stay. */
  encode(word: string): string[] {
    const characters = Array.from(word);
    const length = characters.length;
    // The piece that begins at a place: its id, -1 for none, and the places where its neighbours begin.
    const ids = Int32Array.from(characters, (character) => this.#ids.get(character) ?? -1);
    const next = Int32Array.from(ids, (_, at) => at + 1);
    const previous = Int32Array.from(ids, (_, at) => at - 1);
    const queue = new NumberQueue();
    const offer = (at: number): void => {
      const rank = this.#rankAt(ids, at, next[at]);
      if (rank !== undefined) queue.push(rank * PLACE + at);
    };
    for (let at = 0; at + 1 < length; at++) offer(at);
    for (let first = queue.pop(); first !== undefined; first = queue.pop()) {
      const rank = Math.floor(first / PLACE);
      const at = first % PLACE;
      const right = next[at];
      // Other merges may have used up either half: then another pair stands here, or none.
      if (this.#rankAt(ids, at, right) !== rank) continue;
      ids[at] = this.#made[rank];
      ids[right] = -1;
      next[at] = next[right];
      if (next[at] < length) previous[next[at]] = at;
      offer(at);
      if (previous[at] >= 0) offer(previous[at]);
    }
    const pieces: string[] = [];
    for (let at = 0; at < length; at = next[at]) pieces.push(joined(characters, at, next[at]));
    return pieces;
  }

  #rankAt(ids: Int32Array, left: number, right: number): number | undefined {
    if (right >= ids.length || ids[left] < 0 || ids[right] < 0) return undefined;
    return this.#ranks.get(ids[left] * PAIR + ids[right]);
  }
}

function joined(characters: readonly string[], from: number, to: number): string {
  let piece = characters[from];
  for (let at = from + 1; at < to; at++) piece += characters[at];
  return piece;
}

/** A heap; the smallest number comes first. */
class NumberQueue {
  #heap = new Float64Array(16);
  #length = 0;

  push(value: number): void {
    if (this.#length === this.#heap.length) {
      const longer = new Float64Array(2 * this.#length);
      longer.set(this.#heap);
      this.#heap = longer;
    }
    const heap = this.#heap;
    let at = this.#length++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent] <= value) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = value;
  }

  pop(): number | undefined {
    if (this.#length === 0) return undefined;
    const heap = this.#heap;
    const top = heap[0];
    const last = heap[--this.#length];
    const length = this.#length;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && heap[child + 1] < heap[child]) child++;
      if (heap[child] >= last) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
