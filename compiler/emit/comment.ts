// Text that comes from a spec, made safe for generated source: as a comment, a name or a literal, with no way out of it.

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

/** A number or a text as it stands in TypeScript; what could end the line or the text early is escaped. */
export function literal(value: number | string): string {
  if (typeof value === "number" && !Number.isFinite(value)) throw new RangeError(`not a literal: ${value}`);
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
