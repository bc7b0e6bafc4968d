// Source texts, spans and places. Knows characters and lines; refuses to know YAML, expressions or messages.

/** A half-open range of UTF-16 offsets into one text. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A named text; `name` is what messages print (a file path as the user gave it, or `--set model.layers`). */
export class SourceText {
  readonly name: string;
  readonly text: string;
  readonly #lineStarts: readonly number[];

  constructor(name: string, text: string) {
    this.name = name;
    this.text = text;
    const starts = [0];
    for (let i = text.indexOf("\n"); i >= 0; i = text.indexOf("\n", i + 1)) starts.push(i + 1);
    this.#lineStarts = starts;
  }

  get lineCount(): number {
    return this.#lineStarts.length;
  }

  /** Line and column of an offset, both from 1; the column counts UTF-16 units. */
  position(offset: number): { line: number; column: number } {
    let low = 0;
    let high = this.#lineStarts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#lineStarts[middle] <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - this.#lineStarts[low] + 1 };
  }

  /** The text of a line (from 1) without its line break. */
  line(line: number): string {
    const start = this.#lineStarts[line - 1];
    const next = this.#lineStarts[line] ?? this.text.length + 1;
    return this.text.slice(start, next - 1).replace(/\r$/, "");
  }
}

/** Where something stands: a span of one source text. */
export interface Place {
  readonly source: SourceText;
  readonly span: Span;
}

/**
 * The text of one expression and where each of its characters stands in the file.
 *
 * `text` is what the parser reads (escapes resolved, block scalars folded); `place` maps a span of it back to the file.
 */
export interface ExpressionText {
  readonly text: string;
  place(span: Span): Place;
}

/** An expression that is a source text of its own, such as an op's formula or a `--set` value. */
export function standaloneExpression(name: string, text: string): ExpressionText {
  const source = new SourceText(name, text);
  return { text, place: (span) => ({ source, span }) };
}
