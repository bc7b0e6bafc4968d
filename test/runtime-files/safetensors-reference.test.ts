// Our verdict on thousands of files, whole and broken, against the reference's (the Python package, built from the Rust
// crate). Skipped, with the reason, where python3 has no safetensors.

import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Fault } from "../../runtime/fault.ts";
import { dtypeBits, dtypeNames } from "../../runtime/files/dtypes.ts";
import { openSafetensors } from "../../runtime/files/safetensors.ts";
import { fileOf, headerCases, readerOf } from "./safetensors-cases.ts";

const script = `
import struct, sys
from safetensors import deserialize
data = sys.stdin.buffer.read()
at = 0
while at < len(data):
    (length,) = struct.unpack_from("<I", data, at)
    try:
        deserialize(data[at + 4 : at + 4 + length])
        print("accepts")
    except Exception as error:
        print("refuses", str(error).replace("\\n", " ")[:120])
    at += 4 + length
`;

const probe = spawnSync("python3", ["-c", "import safetensors; print(safetensors.__version__)"], { encoding: "utf8" });
const version = probe.status === 0 ? probe.stdout.trim() : undefined;
const reason = "python3 has no package safetensors";

function referenceVerdicts(files: readonly Uint8Array[]): string[] {
  const pieces = files.flatMap((file) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(file.length);
    return [length, file];
  });
  const answer = spawnSync("python3", ["-c", script], {
    input: Buffer.concat(pieces),
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  expect(answer.stderr).toBe("");
  return answer.stdout.trimEnd().split("\n");
}

/** undefined: accepted. */
async function ourFault(file: Uint8Array): Promise<Fault | undefined> {
  try {
    await openSafetensors(readerOf(file));
    return undefined;
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

/** Mostly right headers: a few tensors one behind the other, then some of their numbers and marks changed. */
const files: fc.Arbitrary<Uint8Array> = fc
  .record({
    tensors: fc.array(
      fc.record({
        name: fc.string({ unit: fc.constantFrom("a", "b", "\u00e9", "/", "."), minLength: 1, maxLength: 4 }),
        dtype: fc.constantFrom(...dtypeNames),
        shape: fc.array(fc.constantFrom(0, 1, 2, 3, 8), { maxLength: 3 }),
        twist: fc.constantFrom(0, 0, 0, 0, 1, -1, 4, 8),
      }),
      { maxLength: 4 },
    ),
    isReversed: fc.boolean(),
    edits: fc.array(fc.tuple(fc.nat(400), fc.constantFrom(...[...'0123456789,:"[]{} -.e'])), { maxLength: 1 }),
    surplus: fc.constantFrom(0, 0, 0, 0, 1),
  })
  .map(({ tensors, isReversed, edits, surplus }) => {
    let at = 0;
    const entries = tensors.map(({ name, dtype, shape, twist }) => {
      const bytes = Math.floor((shape.reduce<number>((count, size) => count * size, 1) * dtypeBits[dtype]) / 8);
      const entry = `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${at},${at + bytes + twist}]}`;
      at += bytes;
      return entry;
    });
    const header = [...`{${(isReversed ? entries.toReversed() : entries).join(",")}}`];
    for (const [place, mark] of edits) if (place < header.length) header[place] = mark;
    return fileOf(header.join(""), at + surplus);
  });

it("our verdict is the reference's, on the catalogue's cases", async ({ skip }) => {
  skip(version === undefined, reason);
  const verdicts = referenceVerdicts(headerCases.map((one) => one.file));
  for (const [index, { name, code, stricter }] of headerCases.entries()) {
    const accepted = code === undefined || stricter === true;
    expect(`${name}: ${verdicts[index]}`).toMatch(accepted ? /: accepts$/ : /: refuses/);
  }
});

it("our verdict is the reference's, on 4,000 generated files", async ({ skip }) => {
  skip(version === undefined, reason);
  const cases = fc.sample(files, { numRuns: 4000, seed: 20 });
  const verdicts = referenceVerdicts(cases);
  let accepted = 0;
  for (const [index, file] of cases.entries()) {
    const fault = await ourFault(file);
    if (verdicts[index] === "accepts") accepted++;
    // Duplicate names are ours to refuse; the reference takes the last of them.
    if (fault?.code === "safetensors/duplicate-key") continue;
    const where = new TextDecoder().decode(file.slice(8));
    expect(`${fault === undefined ? "accepts" : "refuses"} ${where}`).toBe(`${verdicts[index].slice(0, 7)} ${where}`);
  }
  expect(accepted).toBeGreaterThan(500);
  expect(accepted).toBeLessThan(3500);
});
