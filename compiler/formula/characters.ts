// What is refused before a text reaches the lexer: too much of it, brackets too deep, characters that deceive the eye.
// One pass without recursion, so no input can exhaust the stack or the memory of what follows.

import { DiagnosticError } from "../source/diagnostic.ts";
import { foreignCharacter, invisibleCharacter, tooDeep, tooLong } from "../source/messages/expression.ts";
import type { ExpressionText } from "../source/text.ts";

/** Levels of brackets, prefixes, calls and operators: the height of a syntax tree is at most this. */
export const maxDepth = 256;

/** A person's formula has a few hundred; the bound keeps every later step below a few milliseconds. */
const maxLength = 16_384;

const invisible = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Mn}]/u;

// Letters of other scripts and typographic signs that look like ours, with what was meant.
const lookAlikes: ReadonlyMap<string, string> = new Map(
  [
    ["аАɑ", "a"],
    ["сСϲ", "c"],
    ["еЕ", "e"],
    ["һ", "h"],
    ["іІɩ", "i"],
    ["јЈ", "j"],
    ["кК", "k"],
    ["ѕЅ", "s"],
    ["оОοΟ", "o"],
    ["рР", "p"],
    ["ԛ", "q"],
    ["ѵν", "v"],
    ["ԝ", "w"],
    ["хХ×χ", "x"],
    ["уУγ", "y"],
    ["ﬁ", "fi"],
    ["ﬂ", "fl"],
    ["−–—", "-"],
    ["∗·⋅", "*"],
    ["÷∕", "/"],
    ["≤", "<="],
    ["≥", ">="],
    ["≠", "!="],
    ["∧", "&&"],
    ["∨", "||"],
    ["¬", "!"],
    ["→", "->"],
    ["，", ","],
    ["；", ";"],
    ["（", "("],
    ["）", ")"],
    ["…", ".."],
    ["π", "pi"],
    ["²", "^2"],
    ["\u00a0\u2009\u202f\u3000", " "],
  ].flatMap(([characters, meant]) => [...characters].map((character) => [character, meant] as const)),
);

/** Throws a DiagnosticError at the first fault. */
export function refuseUnreadable(text: ExpressionText): void {
  refuseDepth(text);
  const { length } = text.text;
  const whole = text.place({ start: 0, end: length });
  if (length > maxLength) throw new DiagnosticError([tooLong(length, maxLength, whole)]);
  refuseCharacters(text);
}

function refuseDepth(text: ExpressionText): void {
  let brackets = 0;
  let prefixes = 0;
  for (let i = 0; i < text.text.length; i++) {
    const character = text.text[i];
    if ("([{".includes(character)) brackets++;
    else if (")]}".includes(character)) brackets--;
    if ("-!".includes(character)) prefixes++;
    else if (!" \t\r\n".includes(character)) prefixes = 0;
    if (brackets + prefixes > maxDepth) {
      throw new DiagnosticError([tooDeep(maxDepth, text.place({ start: i, end: i + 1 }))]);
    }
  }
}

function refuseCharacters(text: ExpressionText): void {
  let offset = 0;
  for (const character of text.text) {
    const start = offset;
    offset += character.length;
    if (/[\t\r\n -~]/.test(character)) continue;
    const place = text.place({ start, end: offset });
    const diagnostic = invisible.test(character)
      ? invisibleCharacter(character, place)
      : foreignCharacter(character, lookAlikes.get(character), place);
    throw new DiagnosticError([diagnostic]);
  }
}
