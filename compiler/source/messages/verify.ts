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

const head = ["", "compared", "error", "tolerance", "measured as", "", "largest at"];

/** Columns with two spaces between them. */
export function table(rows: readonly VerifyRow[]): string[] {
  const number = (value: number): string => (Number.isInteger(value) ? String(value) : value.toExponential(1));
  const cells = rows.map(({ quantity, compared, error, tolerance, measure, isRight, worst }) => [
    quantity,
    String(compared),
    number(error),
    number(tolerance),
    measure,
    isRight ? "within" : "DIFFERS",
    worst,
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i].length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]))
      .join("  ")
      .trimEnd();
  return [line(head), ...cells.map(line)];
}

export const skipped = (quantity: string, why: string): string => `skipped: ${quantity}: ${why}`;

export const nothingCompared = (folder: string): string =>
  `nothing was compared: ${folder} holds none of what \`mspec verify --help\` lists`;
