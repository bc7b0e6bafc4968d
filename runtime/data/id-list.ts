// A list of token ids that grows: a corpus is read without knowing its length.

export class IdList {
  #ids = new Int32Array(1024);
  length = 0;

  push(id: number): void {
    if (this.length === this.#ids.length) this.#grow(this.length + 1);
    this.#ids[this.length++] = id;
  }

  append(ids: Int32Array): void {
    if (this.length + ids.length > this.#ids.length) this.#grow(this.length + ids.length);
    this.#ids.set(ids, this.length);
    this.length += ids.length;
  }

  #grow(needed: number): void {
    const larger = new Int32Array(Math.max(needed, 2 * this.#ids.length));
    larger.set(this.#ids);
    this.#ids = larger;
  }

  /** The ids so far, as an array of their own. */
  take(): Int32Array {
    return this.#ids.slice(0, this.length);
  }
}
