// Text that comes from a spec, made safe for a comment of any target: one line, no way out of the comment.

/** Keeps printable ASCII and the few mathematical signs that our own formulas use; everything else becomes `?`. */
export function commentText(text: string): string {
  return text
    .replace(/[^\x20-\x7eΣ·ᵀ²√≤→…']/gu, "?")
    .replaceAll("*/", "* /")
    .replace(/;\)/g, "; )")
    .trimEnd();
}

const identifier = /^[A-Za-z][A-Za-z0-9_]{0,126}$/;

/** A name that may stand in generated source; refuses anything else. */
export function ident(name: string): string {
  if (!identifier.test(name)) throw new RangeError(`not an identifier: ${JSON.stringify(name)}`);
  return name;
}
