// Appends a line of metrics per step. A disk that refuses does not stop the run: lines wait until it takes them again.

import { Fault } from "../fault.ts";
import { errnoOf } from "../files/disk.ts";
import { type MetricsLog, type MetricsRecord, openMetrics } from "../files/metrics-log.ts";
import { metricsWait } from "../messages/train.ts";
import { type RunFolder, runNames } from "./run-folder.ts";

export class MetricsWriter {
  readonly #folder: RunFolder;
  #log: MetricsLog | undefined;
  /** The last step whose line is whole in the file. */
  #written: number;
  #waiting: MetricsRecord[] = [];

  private constructor(folder: RunFolder, log: MetricsLog, written: number) {
    this.#folder = folder;
    this.#log = log;
    this.#written = written;
  }

  /** Goes on behind the line of step `last`; what the file has beyond it is cut. */
  static async open(folder: RunFolder, last: number): Promise<MetricsWriter> {
    return new MetricsWriter(folder, await openMetrics(folder.disk, pathOf(folder), last), last);
  }

  /** A warning when the disk refuses. */
  async append(record: MetricsRecord): Promise<string | undefined> {
    this.#waiting.push(record);
    return this.#orWarning(() => this.#flush());
  }

  /** Before a checkpoint is saved, so that no saved step lacks its line after a power cut. */
  async sync(): Promise<string | undefined> {
    return this.#orWarning(async () => {
      await this.#flush();
      await this.#log?.sync();
    });
  }

  /** Errors: the disk's, when lines are lost for good. */
  async close(): Promise<void> {
    try {
      await this.#flush();
    } finally {
      const log = this.#log;
      this.#log = undefined;
      await log?.close();
    }
  }

  async #flush(): Promise<void> {
    // A failed write may have left half a line: opening the file again cuts it.
    this.#log ??= await openMetrics(this.#folder.disk, pathOf(this.#folder), this.#written);
    for (let record = this.#waiting[0]; record !== undefined; record = this.#waiting[0]) {
      await this.#log.append(record);
      this.#written = record.step;
      this.#waiting.shift();
    }
  }

  async #orWarning(work: () => Promise<void>): Promise<string | undefined> {
    try {
      await work();
      return undefined;
    } catch (error) {
      if (!(error instanceof Fault) || errnoOf(error) === undefined) throw error;
      await this.#drop();
      return metricsWait(error, this.#waiting.length);
    }
  }

  /** Lets go of a file that could not be written; closing it may fail for the same reason. */
  async #drop(): Promise<void> {
    const log = this.#log;
    this.#log = undefined;
    try {
      await log?.close();
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
    }
  }
}

const pathOf = ({ path }: RunFolder): string => `${path}/${runNames.metrics}`;
