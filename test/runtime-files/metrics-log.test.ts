import { describe, expect, it } from "vitest";
import { linesOf } from "../../runtime/files/lines.ts";
import { openMetrics, readMetrics } from "../../runtime/files/metrics-log.ts";
import { MemoryDisk } from "./memory-disk.ts";

const path = "/run/metrics.jsonl";

function diskWith(text: string): MemoryDisk {
  const disk = new MemoryDisk();
  disk.plant(path, text);
  return disk;
}

const textOf = (disk: MemoryDisk): string => new TextDecoder().decode(disk.files().get(path));
const line = (step: number): string => `{"step":${step},"loss":${step / 4}}\n`;
const ten = Array.from({ length: 10 }, (_, i) => line(i)).join("");

describe("metrics.jsonl", () => {
  it("is read without a torn last line, wherever it is torn", async () => {
    const last = line(9).length;
    for (let cut = 1; cut < last; cut++) {
      const records = await readMetrics(diskWith(ten.slice(0, ten.length - cut)), path);
      // Without its line break alone, the last record is whole.
      expect(records.map((record) => record.step)).toEqual(Array.from({ length: cut === 1 ? 10 : 9 }, (_, i) => i));
    }
  });

  it("is cut behind the step that a run resumes from, torn or not, and goes on there", async () => {
    for (const torn of ["", '{"step":10,"lo', "\u0000\u0000\u0000", '{"loss":1}\n', "\n\n"]) {
      const disk = diskWith(ten + torn);
      const log = await openMetrics(disk, path, 6);
      await log.append({ step: 7, loss: 0.5 });
      await log.close();
      expect(textOf(disk)).toBe(`${[0, 1, 2, 3, 4, 5, 6].map(line).join("")}{"step":7,"loss":0.5}\n`);
    }
  });

  it("keeps a last record that only lacks its line break", async () => {
    const disk = diskWith(ten.trimEnd());
    const log = await openMetrics(disk, path, 9);
    await log.append({ step: 10 });
    expect(textOf(disk)).toBe(`${ten}{"step":10}\n`);
  });

  it("begins empty for a new run", async () => {
    const disk = diskWith(ten);
    await openMetrics(disk, path, -1);
    expect(textOf(disk)).toBe("");
    const fresh = diskWith(ten);
    const log = await openMetrics(fresh, "/run/other.jsonl", 5);
    await log.append({ step: 6, loss: Number.NaN });
    await log.sync();
    const after = fresh.crashed("power-keeps-names");
    expect(await readMetrics(after, "/run/other.jsonl")).toEqual([{ step: 6, loss: null }]);
  });

  it("with a bad line before good ones is refused with file and line", async () => {
    const disk = diskWith(`${line(0)}{"step":\n${line(1)}`);
    await expect(readMetrics(disk, path)).rejects.toMatchObject({ code: "run/bad-metrics-line", at: `${path}:2` });
    await expect(openMetrics(disk, path, 5)).rejects.toMatchObject({ code: "run/bad-metrics-line" });
    expect(textOf(disk)).toBe(`${line(0)}{"step":\n${line(1)}`);
  });
});

it("lines are the same however the bytes are cut into pieces, and a long one is only counted", async () => {
  const text = "one\n\ntwo two\r\nx".repeat(3);
  const bytes = new TextEncoder().encode(text);
  for (let size = 1; size < 20; size++) {
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
    };
    const found: string[] = [];
    for await (const { number, start, bytes: content, isTooLong, isTerminated } of linesOf(pieces(), 4)) {
      found.push(
        `${number}@${start} ${isTooLong ? "long" : new TextDecoder().decode(content)}${isTerminated ? "" : " open"}`,
      );
    }
    expect(found).toEqual([
      "1@0 one",
      "2@4 ",
      "3@5 long",
      "4@14 xone",
      "5@19 ",
      "6@20 long",
      "7@29 xone",
      "8@34 ",
      "9@35 long",
      "10@44 x open",
    ]);
  }
});
