// A table as text: names on the left, numbers on the right, two spaces between columns and no lines.

import Table from "cli-table3";

const plain = { chars: Object.fromEntries(borders().map((name) => [name, ""])), style: { head: [], border: [] } };

function borders(): string[] {
  const edges = ["top", "bottom", "left", "right"].flatMap((side) => [side, `${side}-mid`, `${side}-left`]);
  return [...edges, "top-right", "bottom-right", "mid", "left-mid", "mid-mid", "right-mid", "middle"];
}

/** The title, and below it the rows; all rows have equally many cells. */
export function table(title: string, rows: readonly (readonly string[])[]): string {
  const colAligns = rows[0].map((_, i) => (i === 0 ? ("left" as const) : ("right" as const)));
  const cells = new Table({ ...plain, colAligns });
  cells.push(...rows.map(([name, ...values]) => [`  ${name}`, ...values]));
  return `${title}\n${cells
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n")}`;
}
