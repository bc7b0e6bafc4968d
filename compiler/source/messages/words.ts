// How sentences spell what they quote: lists, literals and characters.

/** `a`, `a or b`, `a, b or c`. */
export function either(words: readonly string[]): string {
  return joined(words, "or");
}

/** `a`, `a and b`, `a, b and c`. */
export function both(words: readonly string[]): string {
  return joined(words, "and");
}

function joined(words: readonly string[], conjunction: string): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} ${conjunction} ${words[words.length - 1]}`;
}

/** A piece of the user's text between backticks, cut to `most` characters; what cannot be seen is escaped. */
export function quoted(text: string, most = 40): string {
  const characters = [...text];
  const shown = characters.length > most ? [...characters.slice(0, most - 3), "..."] : characters;
  return `\`${shown.map(visible).join("")}\``;
}

function visible(character: string): string {
  if (character === "\n") return "\\n";
  if (character === "\r") return "\\r";
  if (character === "\t") return "\\t";
  return /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u.test(character) && character !== "..."
    ? codePoint(character)
    : character;
}

/** `U+202E`. */
export function codePoint(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}
