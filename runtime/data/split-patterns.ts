// Which patterns of a tokenizer.json mspec runs: those that are proved to take time in proportion to the text. A file
// from elsewhere may hold any regular expression, the engine backtracks, and nothing could stop it once it runs.

/**
 * Published patterns that the proof below does not cover, and what is run for them.
 * o200k (GPT-4o, gpt-oss): where capitals are followed by no small letter, its first alternative fails after one pass
 * over them, and the second takes them all.
 * DeepSeek-V2's white space before an end of line: tried from each space of a run it is quadratic, from the run's first
 * it is not, and finds the same: within a run the longest match ends at the last end of line.
 */
const published: ReadonlyMap<string, string> = new Map(
  [
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|" +
      "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|" +
      "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  ]
    .map((pattern) => [pattern, pattern])
    .concat([["\\s+$", "(?<!\\s)\\s+$"]]) as [string, string][],
);

/** The published ones have some 300 characters. */
const LONGEST = 4096;
const DEEPEST = 8;
/** Ways in which one alternative may be tried at one place; the published ones have fewer than 20 in all. */
const MOST_WAYS = 1024;
const MOST_REPEATS = 64;

export type PatternVerdict = { readonly run: string } | { readonly problem: string };

/**
 * Reads a pattern, as Oniguruma writes it, and proves that cutting a text with it takes time in proportion to the text.
 *
 * Method: an alternative has an endless repetition only of single characters, outside of groups, and followed by
 * nothing that can fail. So where one is begun the alternative matches, what was scanned is used up, and no character is
 * scanned twice; everything else is tried in a bounded number of ways. Two alternatives of nearly all published
 * patterns are let through beside that: `\s+(?!\S)` gives back one character at most, and `\s*[\r\n]+` fails only
 * before an alternative that takes the same white space.
 */
export function judgePattern(pattern: string): PatternVerdict {
  const known = published.get(pattern);
  if (known !== undefined) return { run: known };
  if (pattern.length > LONGEST) return { problem: `it has ${pattern.length} characters, more than ${LONGEST}` };
  try {
    const ways = new PatternReader(pattern).read();
    if (ways <= MOST_WAYS) return { run: pattern };
    return { problem: `one place could be tried in ${ways} ways, more than ${MOST_WAYS}` };
  } catch (error) {
    if (error instanceof Problem) return { problem: error.message };
    throw error;
  }
}

class Problem extends Error {}

interface Item {
  /** In how many ways it can match at one place. */
  readonly ways: number;
  /** Whether one way takes no character, so that what follows is always reached. */
  readonly canBeEmpty: boolean;
  readonly isEndless: boolean;
}

interface Quantifier {
  readonly least: number;
  readonly most: number;
}

const whitespaceTail = "\\s+(?!\\S)";
const lineEnds = "\\s*[\\r\\n]+";
/** Escapes that stand for one character: properties, shorthands, numbers, and signs that would else mean something. */
const escaped =
  /\\(?:[pP]\{[A-Za-z_=]+\}|[sSdDwWrntfv]|x[0-9A-Fa-f]{2}|x\{[0-9A-Fa-f]{1,6}\}|u[0-9A-Fa-f]{4}|[^A-Za-z0-9])/uy;
/** A class of characters and escapes, without classes in it and without intersections. */
const characterClass = new RegExp(`\\[\\^?(?:(?!&&)(?:[^\\]\\[\\\\]|${escaped.source}))+\\]`, "uy");
const quantifier = /[*+?]|\{(\d{1,6})(,(\d{0,6}))?\}/y;
const plain = /[^\\[\](){}|*+?^$.]/uy;

class PatternReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** In how many ways it can be tried at one place. */
  read(): number {
    const { ways } = this.#alternatives(0);
    if (this.#at < this.#text.length) throw this.#problem("a `)` closes nothing");
    return ways;
  }

  #alternatives(depth: number): Item {
    const items = [this.#alternative(depth)];
    while (this.#take("|")) items.push(this.#alternative(depth));
    return {
      ways: items.reduce((sum, item) => sum + item.ways, 0),
      canBeEmpty: items.some((item) => item.canBeEmpty),
      isEndless: items.some((item) => item.isEndless),
    };
  }

  #alternative(depth: number): Item {
    if (depth === 0 && this.#takeWhole(whitespaceTail)) return { ways: 2, canBeEmpty: false, isEndless: true };
    if (depth === 0 && this.#takeWhole(lineEnds)) {
      const rest = this.#text.slice(this.#at);
      if (!/^\|\\s\+(?:\(\?!\\S\)\|\\s\+)?(?:\||$)/.test(rest)) {
        throw this.#problem(`${lineEnds} is not followed by |\\s+, which would take the white space that it tried`);
      }
      return { ways: 2, canBeEmpty: false, isEndless: true };
    }
    const items: Item[] = [];
    while (this.#at < this.#text.length && !"|)".includes(this.#text[this.#at])) {
      const start = this.#at;
      const item = this.#quantified(depth);
      if (!item.canBeEmpty && items.some((before) => before.isEndless)) {
        this.#at = start;
        throw this.#problem("what follows an endless repetition can fail, and every length would be tried again");
      }
      items.push(item);
    }
    return {
      ways: items.reduce((product, item) => product * item.ways, 1),
      canBeEmpty: items.every((item) => item.canBeEmpty),
      isEndless: items.some((item) => item.isEndless),
    };
  }

  #quantified(depth: number): Item {
    const start = this.#at;
    const isGroup = this.#text[start] === "(";
    const item = isGroup ? this.#group(depth) : this.#character();
    const repeat = this.#quantifier();
    if (repeat === undefined) return item;
    const { least, most } = repeat;
    if (isGroup && most === Number.POSITIVE_INFINITY) {
      this.#at = start;
      throw this.#problem("a group is repeated endlessly");
    }
    const isEndless = most === Number.POSITIVE_INFINITY;
    return {
      // A group can be tried in all its ways at each repetition.
      ways: isEndless ? 1 : isGroup ? (item.ways + 1) ** most : most - least + 1,
      canBeEmpty: least === 0 || item.canBeEmpty,
      isEndless,
    };
  }

  #group(depth: number): Item {
    const start = this.#at;
    if (depth === DEEPEST) throw this.#problem(`groups are nested deeper than ${DEEPEST}`);
    this.#at++;
    if (this.#text[this.#at] === "?" && !this.#take("?:") && !this.#take("?i:")) {
      throw this.#problem("of groups that begin with `(?` only `(?:` and `(?i:` are known to be run as they are meant");
    }
    const item = this.#alternatives(depth + 1);
    if (!this.#take(")")) throw this.#problemAt(start, "a `(` is not closed");
    if (item.isEndless) throw this.#problemAt(start, "an endless repetition stands in a group");
    return item;
  }

  #character(): Item {
    const start = this.#at;
    for (const kind of [plain, escaped, characterClass]) {
      if (this.#match(kind) !== undefined) return { ways: 1, canBeEmpty: false, isEndless: false };
    }
    const rest = [...this.#text.slice(start, start + 8)].join("");
    throw this.#problem(`${JSON.stringify(rest)} begins with nothing that stands for one character`);
  }

  #quantifier(): Quantifier | undefined {
    const start = this.#at;
    const match = this.#match(quantifier);
    if (match === undefined) return undefined;
    if (/[*+?]/.test(this.#text[this.#at] ?? "")) {
      throw this.#problem("lazy, possessive and doubled repetitions mean different things in different engines");
    }
    const least = match[0] === "*" || match[0] === "?" ? 0 : Number(match[1] ?? 1);
    const most = mostOf(match, least);
    const largest = most === Number.POSITIVE_INFINITY ? least : most;
    if (most < least || largest > MOST_REPEATS) {
      throw this.#problemAt(start, `a repetition must be of at most ${MOST_REPEATS} times, or endless`);
    }
    return { least, most };
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at = pattern.lastIndex;
    return match;
  }

  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  /** Takes `text` where it is a whole alternative. */
  #takeWhole(text: string): boolean {
    const next = this.#text[this.#at + text.length];
    return (next === undefined || next === "|") && this.#take(text);
  }

  #problem(what: string): Problem {
    return this.#problemAt(this.#at, what);
  }

  #problemAt(at: number, what: string): Problem {
    return new Problem(`at character ${at + 1}: ${what}`);
  }
}

function mostOf(match: RegExpExecArray, least: number): number {
  if (match[0] === "?") return 1;
  if (match[0] === "*" || match[0] === "+" || match[3] === "") return Number.POSITIVE_INFINITY;
  return match[3] === undefined ? least : Number(match[3]);
}
