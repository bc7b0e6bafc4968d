// What `mspec verify` prints: a line per quantity, and why others are not there.

export interface VerifyRow {
  readonly quantity: string;
  readonly measure: string;
  readonly compared: number;
  readonly error: number;
  readonly tolerance: number;
  readonly worst: string;
  readonly isRight: boolean;
}

/** One tensor, prompt or layer of a quantity. */
export interface PartRow {
  readonly name: string;
  readonly error: number;
  readonly tolerance: number;
  readonly at: string;
  readonly isRight: boolean;
}

const head = ["", "compared", "error", "tolerance", "measured as", "", "largest at"];

/** Columns with two spaces between them. */
export function table(rows: readonly VerifyRow[]): string[] {
  const cells = rows.map(({ quantity, compared, error, tolerance, measure, isRight, worst }) => [
    quantity,
    String(compared),
    number(error),
    number(tolerance),
    measure,
    isRight ? "within" : "DIFFERS",
    worst,
  ]);
  return aligned([head, ...cells]);
}

const number = (value: number): string => (Number.isInteger(value) ? String(value) : value.toExponential(1));

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, i) => rows.reduce((most, row) => Math.max(most, row[i].length), 0));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]))
      .join("  ")
      .trimEnd(),
  );
}

/** A row for each part of a quantity: those with the largest errors first where there are more than `most`. */
export function parts(quantity: string, rows: readonly PartRow[], most: number): string[] {
  if (rows.length < 2) return [];
  const told = rows.length <= most ? rows : rows.toSorted((a, b) => b.error - a.error).slice(0, most);
  const which =
    told.length === rows.length ? "" : `, the ${told.length} largest errors of ${rows.length}; --all prints all`;
  const cells = told.map(({ name, error, tolerance, at, isRight }) => [
    `  ${name}`,
    number(error),
    `of ${number(tolerance)}`,
    isRight ? "within" : "DIFFERS",
    at,
  ]);
  return ["", `${quantity}${which}`, ...aligned(cells)];
}

export const firstThatDiffers = (layer: string): string => `\nthe first layer that differs: ${layer}`;

export const skipped = (quantity: string, why: string): string => `skipped: ${quantity}: ${why}`;

export const nothingCompared = (folder: string): string =>
  `nothing was compared: ${folder} holds none of what \`mspec verify --help\` lists`;
