// The bounds of YAML, checked on its words before the library composes anything: depth and size, which would kill the
// process, and everything of YAML that specs do not use.

import { CST, Lexer } from "yaml";
import type { Diagnostic, Diagnostics } from "./diagnostic.ts";
import * as say from "./messages/yaml.ts";
import type { Place, SourceText } from "./text.ts";

const maxYamlDepth = 64;
const maxYamlEntries = 4096;

/** Whether the text may be composed; every reason against it has been added, at its place in `shown`. */
export function scanYaml(text: string, shown: SourceText, diagnostics: Diagnostics): boolean {
  const scan = new Scan(shown);
  for (const word of wordsOf(text)) if (!scan.read(word)) break;
  for (const diagnostic of scan.found) diagnostics.add(diagnostic);
  return scan.found.length === 0;
}

/** The lexer's words with their places; the marks that it adds have no characters in the file and are dropped. */
function* wordsOf(source: string): Generator<Word> {
  let start = 0;
  let isText = false;
  for (const text of new Lexer().lex(source)) {
    const type = CST.tokenType(text);
    const isMark = text === CST.DOCUMENT || text === CST.FLOW_END || text === CST.SCALAR;
    if (!isMark) {
      // What follows this mark is text, whatever it looks like.
      yield { type: isText ? "scalar" : (type ?? "scalar"), text, start, end: start + text.length };
      start += text.length;
    }
    isText = text === CST.SCALAR;
  }
}

interface Word {
  readonly type: string;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** A map or list that is open: in a block by its column, inside brackets by their sign. */
interface Open {
  readonly column: number;
  readonly isFlow: boolean;
  entries: number;
}

const blank: ReadonlySet<string> = new Set(["space", "newline", "comment", "byte-order-mark"]);
const scalars: ReadonlySet<string> = new Set(["scalar", "single-quoted-scalar", "double-quoted-scalar", "alias"]);

class Scan {
  readonly found: Diagnostic[] = [];
  readonly #source: SourceText;
  readonly #open: Open[] = [];
  #lineStart = 0;
  #previous: Word | undefined;
  /** Column of the scalar that becomes a key if a colon follows. */
  #keyColumn = 0;
  #documents: "none" | "begun" | "ended" = "none";

  constructor(source: SourceText) {
    this.#source = source;
  }

  /** Returns false when reading on could cost more than it tells. */
  read(word: Word): boolean {
    const isGoing = blank.has(word.type) || (this.#document(word) && this.#structure(word));
    const lineBreak = word.text.lastIndexOf("\n");
    if (lineBreak >= 0) this.#lineStart = word.start + lineBreak + 1;
    this.#previous = word;
    return isGoing;
  }

  #document(word: Word): boolean {
    const place = this.#place(word);
    if (word.type === "directive-line") this.found.push(say.directive(word.text, place));
    else if (word.type === "doc-start" && this.#documents === "none") this.#documents = "begun";
    else if (word.type === "doc-end") this.#documents = "ended";
    else if (word.type === "doc-start" || this.#documents === "ended") {
      this.found.push(say.secondDocument(place));
      return false;
    } else this.#documents = "begun";
    return true;
  }

  #structure(word: Word): boolean {
    const place = this.#place(word);
    const column = word.start - this.#lineStart;
    switch (word.type) {
      case "anchor":
        this.found.push(say.anchor(word.text, place));
        return true;
      case "tag":
        this.found.push(say.tag(word.text, place));
        return true;
      case "flow-map-start":
      case "flow-seq-start":
        return this.#flow(word);
      case "flow-map-end":
      case "flow-seq-end":
        if (this.#open.at(-1)?.isFlow) this.#open.pop();
        return true;
      case "comma":
        return this.#entry(word);
      case "seq-item-ind":
      case "explicit-key-ind":
        return this.#block(column, word);
      case "map-value-ind":
        return this.#block(this.#keyColumn, word);
      default:
        return this.#scalar(word, column);
    }
  }

  #scalar(word: Word, column: number): boolean {
    if (!scalars.has(word.type)) return true;
    this.#keyColumn = column;
    if (word.type === "alias") {
      const text = word.text.replace(/:$/, "");
      this.found.push(say.alias(text, this.#place({ ...word, end: word.start + text.length })));
    }
    return true;
  }

  #flow(word: Word): boolean {
    const isTouching = this.#previous?.end === word.start && scalars.has(this.#previous.type);
    if (isTouching && this.#open.at(-1)?.isFlow) {
      const start = this.#previous?.start ?? word.start;
      this.found.push(say.bracketSplits(this.#place({ ...word, start })));
      return false;
    }
    this.#open.push({ column: 0, isFlow: true, entries: 1 });
    return this.#depth(word);
  }

  /** A key or item of the block whose entries begin at `column`. */
  #block(column: number, word: Word): boolean {
    let top = this.#open.at(-1);
    if (top?.isFlow) return true;
    while (top !== undefined && top.column > column) {
      this.#open.pop();
      top = this.#open.at(-1);
    }
    if (top?.column === column) return this.#entry(word);
    this.#open.push({ column, isFlow: false, entries: 1 });
    return this.#depth(word);
  }

  #entry(word: Word): boolean {
    const top = this.#open.at(-1);
    if (top === undefined || ++top.entries <= maxYamlEntries) return true;
    this.found.push(say.tooManyEntries(maxYamlEntries, this.#place(word)));
    return false;
  }

  #depth(word: Word): boolean {
    if (this.#open.length <= maxYamlDepth) return true;
    this.found.push(say.tooDeep(maxYamlDepth, this.#place(word)));
    return false;
  }

  #place({ start, end }: Pick<Word, "start" | "end">): Place {
    return { source: this.#source, span: { start, end } };
  }
}
