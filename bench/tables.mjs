// @ts-check
// What a benchmark prints, and how it goes into docs/benchmarks.md: by sections, so that each device keeps its own.

import { readFileSync, writeFileSync } from "node:fs";

const file = new URL("../docs/benchmarks.md", import.meta.url);
/** A section about an adapter begins like this; all others are about the CPU. */
export const adapterTitle = "## WebGPU on ";
/** @type {string[]} */
const lines = [];

/** @param {string} text */
export function say(text = "") {
  lines.push(text);
  console.log(text);
}

/** @param {string[]} head @param {string[][]} rows */
export function table(head, rows) {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => String(row[i]).length)));
  const line = (/** @type {string[]} */ cells) =>
    `| ${cells.map((cell, i) => String(cell).padEnd(widths[i])).join(" | ")} |`;
  say(line(head));
  say(`|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`);
  for (const row of rows) say(line(row));
  say();
}

/** Sections with their titles; what stands before the first one belongs to the CPU. @param {string} text */
const sectionsOf = (text) => text.split(/^(?=## )/m).map((section) => section.trim());

const isOfAdapter = (/** @type {string} */ section) => section.startsWith(adapterTitle);
const titleOf = (/** @type {string} */ section) => section.split("\n")[0];

/**
 * A page with what was measured in the place of the same device's sections; those of other devices stay, and adapters stand last.
 * @param {string} page @param {string} measured
 */
export function mergeSections(page, measured) {
  const added = sectionsOf(measured);
  const titles = new Set(added.filter(isOfAdapter).map(titleOf));
  const isReplaced = (/** @type {string} */ section) =>
    isOfAdapter(section) ? titles.has(titleOf(section)) : titles.size === 0;
  const all = [...sectionsOf(page).filter((section) => !isReplaced(section)), ...added];
  const ordered = [...all.filter((section) => !isOfAdapter(section)), ...all.filter(isOfAdapter)];
  return `${ordered.join("\n\n").trim()}\n`;
}

/** Writes what was said into docs/benchmarks.md. */
export function writeSections() {
  writeFileSync(file, mergeSections(readFileSync(file, "utf8"), lines.join("\n")));
}
