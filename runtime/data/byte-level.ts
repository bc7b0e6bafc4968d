// Byte-level text: how GPT-2 and its followers cut text into words and write bytes as printable characters.

/**
 * GPT-2's pattern. Whitespace is Unicode's White_Space, as in the `tokenizers` library: JavaScript's own \s differs in
 * U+0085 and U+FEFF, and words cut there would get other ids. Letters and numbers are those of the engine's Unicode:
 * two engines can cut differently only at characters that one of them does not know yet.
 */
const wordPattern =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** Calls `visit` with every word of a text, in order; joined they are the text. */
export function forEachWord(text: string, visit: (word: string) => void): void {
  wordPattern.lastIndex = 0;
  for (let match = wordPattern.exec(text); match !== null; match = wordPattern.exec(text)) visit(match[0]);
}

/** The printable character of each byte: itself where it is one, else the next free one from U+0100. */
export const byteCharacters: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(isPrintable ? byte : next++);
  });
})();

const bytesByCharacter = new Map(byteCharacters.map((character, byte) => [character, byte]));
const encoder = new TextEncoder();

/** A word as one printable character per byte of its UTF-8. */
export function toByteCharacters(word: string): string {
  let characters = "";
  for (const byte of encoder.encode(word)) characters += byteCharacters[byte];
  return characters;
}

/** The bytes that a token's characters stand for; undefined when one stands for none. */
export function fromByteCharacters(token: string): Uint8Array | undefined {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = bytesByCharacter.get(token[i]);
    if (byte === undefined) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}
