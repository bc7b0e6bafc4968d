// metrics.jsonl: one line per step, appended. A crash can tear the last line; resuming cuts what lies beyond its step.

import { badMetricsLine } from "../messages/run-folder.ts";
import type { Disk, FileWriter } from "./disk.ts";
import { type Line, linesOf, piecesOf } from "./lines.ts";

export type MetricsValue =
  | number
  | string
  | boolean
  | null
  | readonly MetricsValue[]
  | { readonly [name: string]: MetricsValue };

/**
 * One line: numbers by name, such as loss and tokens per second, and lists of them by layer. JSON turns NaN and
 * infinities into null. Which names a line has follows from the model and the step, so a reader asks for each.
 */
export interface MetricsRecord {
  readonly step: number;
  readonly [name: string]: MetricsValue;
}

const LINE_LIMIT = 1 << 20;

/** The records of a metrics file, in order, without a torn last line. Errors: `run/bad-metrics-line` for another bad one. */
export async function readMetrics(disk: Disk, path: string): Promise<MetricsRecord[]> {
  const records: MetricsRecord[] = [];
  await scan(disk, path, (record) => {
    records.push(record);
    return true;
  });
  return records;
}

/**
 * Opens a metrics file for appending, after cutting every line after step `lastStep` (-1 for a new run: all of them).
 *
 * Errors: `run/bad-metrics-line` when good lines follow a bad one.
 */
export async function openMetrics(disk: Disk, path: string, lastStep: number): Promise<MetricsLog> {
  if ((await disk.stat(path)) !== undefined) {
    const { bytes, isTerminated } = await scan(disk, path, (record) => record.step <= lastStep);
    await disk.truncate(path, bytes);
    const writer = await disk.openAppend(path);
    if (!isTerminated) await writer.write(new TextEncoder().encode("\n"));
    return new MetricsLog(writer);
  }
  return new MetricsLog(await disk.openAppend(path));
}

/** Reads records as long as `accept` takes them; tells how many bytes they fill and whether a line break ends them. */
async function scan(
  disk: Disk,
  path: string,
  accept: (record: MetricsRecord) => boolean,
): Promise<{ bytes: number; isTerminated: boolean }> {
  let accepted = { bytes: 0, isTerminated: true };
  let badLine: number | undefined;
  const reader = await disk.openRead(path);
  try {
    for await (const line of linesOf(piecesOf(reader), LINE_LIMIT)) {
      const record = parseRecord(line);
      if (record === undefined) {
        badLine ??= line.number;
        continue;
      }
      if (!accept(record)) return accepted;
      if (badLine !== undefined) throw badMetricsLine(path, badLine);
      const end = line.start + line.bytes.length;
      accepted = { bytes: line.isTerminated ? end + 1 : end, isTerminated: line.isTerminated };
    }
    return accepted;
  } finally {
    await reader.close();
  }
}

function parseRecord(line: Line): MetricsRecord | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line.bytes));
    const hasStep = typeof value === "object" && value !== null && "step" in value && Number.isSafeInteger(value.step);
    return hasStep ? (value as MetricsRecord) : undefined;
  } catch {
    return undefined;
  }
}

export class MetricsLog {
  readonly #writer: FileWriter;

  constructor(writer: FileWriter) {
    this.#writer = writer;
  }

  async append(record: MetricsRecord): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(`${JSON.stringify(record)}\n`));
  }

  /** Before a checkpoint is saved, so that no saved step lacks its line after a power cut. */
  async sync(): Promise<void> {
    await this.#writer.sync();
  }

  async close(): Promise<void> {
    await this.#writer.close();
  }
}
