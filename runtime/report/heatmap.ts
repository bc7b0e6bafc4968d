// A matrix of values as SVG: rows with labels, a cell per value that says its value when pointed at, a legend.
// Knows colours and places, and nothing of what the values mean.

import { escaped } from "./markup.ts";

export interface Cell {
  readonly value: number;
  /** What is shown when the cell is pointed at. */
  readonly title: string;
}

export interface Heatmap {
  /** Of the whole, for who cannot see it. */
  readonly label: string;
  /** Rows may differ in length; what is undefined stays blank. */
  readonly rows: readonly { readonly label: string; readonly cells: readonly (Cell | undefined)[] }[];
  /** What columns are, and the names of some of them. */
  readonly axis: string;
  readonly ticks: readonly { readonly column: number; readonly text: string }[];
  readonly scale: Scale;
}

export interface Scale {
  /** From 0 to 1; beyond its ends a value has the colour of the end. */
  readonly position: (value: number) => number;
  /** Red, green and blue, evenly spaced from 0 to 1. */
  readonly colors: readonly (readonly [number, number, number])[];
  /** Values that the legend names. */
  readonly marks: readonly { readonly value: number; readonly text: string }[];
}

/** As wide as the curves above it. */
const width = 920;
/** Of a monospace character, 11 pixels high. */
const characterWidth = 6.7;
const legendCells = 60;
const [legendWidth, legendHeight] = [300, 12];

export function heatmapSvg({ label, rows, axis, ticks, scale }: Heatmap): string {
  const columns = Math.max(1, ...rows.map(({ cells }) => cells.length));
  const left = Math.ceil(Math.max(0, ...rows.map((row) => row.label.length)) * characterWidth) + 8;
  const cellWidth = (width - left - 1) / columns;
  // Labels need 12 pixels; few layers are easier to see when they are higher.
  const cellHeight = rows.length <= 24 ? 20 : 12;
  const bottom = rows.length * cellHeight;
  const x = (column: number): number => left + column * cellWidth;
  const parts = rows.flatMap((row, i) => [
    text(left - 6, i * cellHeight + cellHeight / 2 + 4, "end", row.label),
    ...row.cells.map((cell, column) => (cell === undefined ? "" : rect(x(column), i, cell))),
  ]);
  function rect(at: number, row: number, { value, title }: Cell): string {
    const place = `x="${short(at)}" y="${row * cellHeight}" width="${short(cellWidth)}" height="${cellHeight}"`;
    return `<rect ${place} fill="${colorOf(scale, value)}"><title>${escaped(title)}</title></rect>`;
  }
  return [
    `<svg class="heatmap" role="img" aria-label="${escaped(label)}" viewBox="0 0 ${width} ${bottom + 72}">`,
    ...parts.filter((part) => part !== ""),
    `<rect x="${left}" y="0" width="${short(columns * cellWidth)}" height="${bottom}" fill="none" stroke="#999"/>`,
    ...ticks.map((tick) => text(x(tick.column) + cellWidth / 2, bottom + 14, "middle", tick.text)),
    text(left - 6, bottom + 14, "end", axis),
    ...legend(scale, left, bottom + 34),
    "</svg>",
  ].join("\n");
}

function legend(scale: Scale, left: number, top: number): string[] {
  const step = legendWidth / legendCells;
  const bar = Array.from({ length: legendCells }, (_, i) => {
    const place = `x="${short(left + i * step)}" y="${top}" width="${short(step)}" height="${legendHeight}"`;
    return `<rect ${place} fill="${mixed(scale.colors, (i + 0.5) / legendCells)}"/>`;
  });
  const frame = `<rect x="${left}" y="${top}" width="${legendWidth}" height="${legendHeight}" fill="none" stroke="#999"/>`;
  const marks = scale.marks.map((mark) => {
    return text(left + scale.position(mark.value) * legendWidth, top + legendHeight + 14, "middle", mark.text);
  });
  return [...bar, frame, ...marks];
}

const colorOf = ({ position, colors }: Scale, value: number): string => mixed(colors, position(value));

function mixed(colors: Scale["colors"], position: number): string {
  const at = Math.min(1, Math.max(0, position)) * (colors.length - 1);
  const first = Math.min(colors.length - 2, Math.floor(at));
  const channels = colors[first].map((from, channel) => from + (colors[first + 1][channel] - from) * (at - first));
  return `#${channels.map((channel) => Math.round(channel).toString(16).padStart(2, "0")).join("")}`;
}

const text = (x: number, y: number, anchor: "middle" | "end", content: string): string =>
  `<text x="${short(x)}" y="${short(y)}" text-anchor="${anchor}">${escaped(content)}</text>`;

const short = (value: number): number => Number(value.toFixed(2));
