// Finds files by patterns: `*`, `?`, `**` and `{a,b}`, as shells have them. Knows nothing of what is in the files.

import type { Disk, Entry } from "../files/disk.ts";

/**
 * The files that patterns match, each once, sorted by path.
 *
 * `*` and `?` stay within a name and do not match a leading dot; `**` is any number of folders, without following links,
 * so that no circle of links is walked. A pattern without any of them is a path and is returned even if nothing is there.
 * Relative patterns are taken from `base`; the paths returned begin with it.
 */
export async function findFiles(disk: Disk, base: string, patterns: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  for (const pattern of patterns.flatMap(expandBraces)) {
    const root = /^(\/|[A-Za-z]:\/)/.exec(pattern)?.[0];
    const segments = pattern
      .slice(root?.length ?? 0)
      .split("/")
      .filter((segment) => segment !== "" && segment !== ".");
    if (/[*?]/.test(pattern)) await walk(disk, root ?? base, segments, found);
    else found.add(segments.reduce(join, root ?? base));
  }
  return [...found].toSorted();
}

function join(folder: string, name: string): string {
  return folder.endsWith("/") ? folder + name : `${folder}/${name}`;
}

/** `{a,b}` written out, from the left; braces without a partner stand for themselves. */
function expandBraces(pattern: string): string[] {
  const open = pattern.indexOf("{");
  const parts = open < 0 ? undefined : bracedParts(pattern, open);
  if (parts === undefined) return [pattern];
  const rest = pattern.slice(parts.end);
  return parts.texts.flatMap((text) => expandBraces(pattern.slice(0, open) + text + rest));
}

/** The alternatives between the brace at `open` and its partner. */
function bracedParts(pattern: string, open: number): { readonly texts: string[]; readonly end: number } | undefined {
  const texts: string[] = [];
  let depth = 0;
  let start = open + 1;
  for (let at = open; at < pattern.length; at++) {
    if (pattern[at] === "{") depth++;
    else if (pattern[at] === "}") depth--;
    if (depth === 0 || (depth === 1 && pattern[at] === ",")) {
      texts.push(pattern.slice(start, at));
      start = at + 1;
    }
    if (depth === 0) return { texts, end: at + 1 };
  }
  return undefined;
}

/** Adds the files below `folder` that match; a folder that is not there matches nothing. */
async function walk(disk: Disk, folder: string, segments: readonly string[], found: Set<string>): Promise<void> {
  if ((await disk.stat(folder))?.kind !== "folder") return;
  const [segment, ...rest] = segments;
  if (segment === "**") return walkAny(disk, folder, rest.length === 0 ? ["*"] : rest, found);
  if (!/[*?]/.test(segment)) return walkNamed(disk, join(folder, segment), rest, found);
  const pattern = namePattern(segment);
  for (const entry of await disk.list(folder)) {
    if (!pattern.test(entry.name)) continue;
    const path = join(folder, entry.name);
    if (rest.length > 0) await walk(disk, path, rest, found);
    else if ((await kindBehindLink(disk, path, entry)) === "file") found.add(path);
  }
}

async function walkNamed(disk: Disk, path: string, rest: readonly string[], found: Set<string>): Promise<void> {
  if (rest.length > 0) await walk(disk, path, rest, found);
  else if ((await disk.stat(path))?.kind === "file") found.add(path);
}

/** `**`: here, and in every folder below that is no link. */
async function walkAny(disk: Disk, folder: string, rest: readonly string[], found: Set<string>): Promise<void> {
  await walk(disk, folder, rest, found);
  for (const { name, kind } of await disk.list(folder)) {
    if (kind === "folder" && !name.startsWith(".")) await walkAny(disk, join(folder, name), rest, found);
  }
}

/** A link to nothing counts as a file, so that reading it tells of it. */
async function kindBehindLink(disk: Disk, path: string, entry: Entry): Promise<string> {
  return entry.kind === "link" ? ((await disk.stat(path))?.kind ?? "file") : entry.kind;
}

function namePattern(segment: string): RegExp {
  const source = segment
    .replace(/[\\^$.|+()[\]{}]/g, "\\$&")
    .replaceAll("*", "[^/]*")
    .replaceAll("?", "[^/]");
  return new RegExp(`^${/^[*?]/.test(segment) ? "(?!\\.)" : ""}${source}$`, "su");
}
