import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Fault } from "../../runtime/fault.ts";
import { decodeBf16, decodeF16, dtypeBits, dtypeNames } from "../../runtime/files/dtypes.ts";
import { openSafetensors } from "../../runtime/files/safetensors.ts";
import { type TensorSource, tensorFromArray, writeSafetensors } from "../../runtime/files/safetensors-writer.ts";
import { fileOf, headerCases, readerOf } from "./safetensors-cases.ts";

const golden = new URL("golden/mixed.safetensors", import.meta.url);

function bytesTensor(
  name: string,
  dtype: TensorSource["dtype"],
  shape: readonly number[],
  bytes: readonly number[],
): TensorSource {
  return { name, dtype, shape, read: () => new Uint8Array(bytes) };
}

/** What golden/make-mixed.py writes. */
const mixed: readonly TensorSource[] = [
  bytesTensor("codes", "F8_E4M3", [1, 3], [0x38, 0x7e, 0x01]),
  tensorFromArray('z/\u{1f600}"\\\n', [2], new Int32Array([-1, 2147483647])),
  tensorFromArray("z/\uffee", [1], new Int32Array([5])),
  bytesTensor("half", "F16", [4], [0x00, 0x3c, 0x01, 0x00, 0xff, 0x7b, 0x00, 0xfc]),
  tensorFromArray("steps", [], new Int32Array([7])),
  tensorFromArray("nothing", [0, 5], new Float32Array(0)),
  tensorFromArray("layers.0.norm.gain", [3], new Float32Array([1, -0.5, 3.25])),
  bytesTensor("brain", "BF16", [2, 1], [0x80, 0x3f, 0x01, 0x80]),
  tensorFromArray(
    "embedding.weight",
    [2, 2],
    new Float32Array([0.1, 1e-45, -3.4028234663852886e38, Number.POSITIVE_INFINITY]),
  ),
];

async function written(tensors: readonly TensorSource[], metadata: Record<string, string>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  await writeSafetensors(tensors, metadata, async (piece) => void pieces.push(piece));
  return new Uint8Array(Buffer.concat(pieces));
}

describe("the writer", () => {
  it("writes the reference's bytes, whatever order the tensors come in", async () => {
    const expected = new Uint8Array(await readFile(golden));
    expect(await written(mixed, { format: "mspec" })).toEqual(expected);
    expect(await written(mixed.toReversed(), { format: "mspec" })).toEqual(expected);
  });

  it("aligns the header to 8 bytes and every tensor to its elements", async () => {
    for (let length = 0; length < 9; length++) {
      const bytes = await written([tensorFromArray("x".repeat(length), [1], new Float32Array(1)), ...mixed], {});
      const file = await openSafetensors(readerOf(bytes));
      expect(Number(new DataView(bytes.buffer).getBigUint64(0, true)) % 8).toBe(0);
      for (const tensor of file.tensors.values()) expect(tensor.begin % (dtypeBits[tensor.dtype] / 8)).toBe(0);
    }
  });

  it("reads one tensor at a time", async () => {
    let inMemory = 0;
    const lazy = Array.from(
      { length: 5 },
      (_, i): TensorSource => ({
        name: `t${i}`,
        dtype: "F32",
        shape: [1],
        read: () => {
          expect(inMemory++).toBe(0);
          return new Uint8Array(4);
        },
      }),
    );
    await writeSafetensors(lazy, {}, async () => {
      inMemory = 0;
    });
  });
});

describe("the reader", () => {
  it("reads the reference's bytes", async () => {
    const file = await openSafetensors(readerOf(new Uint8Array(await readFile(golden))));
    expect([...file.metadata]).toEqual([["format", "mspec"]]);
    expect([...file.tensors.values()].map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual([
      ["embedding.weight", "F32", [2, 2]],
      ["layers.0.norm.gain", "F32", [3]],
      ["nothing", "F32", [0, 5]],
      ["steps", "I32", []],
      ["z/\uffee", "I32", [1]],
      ['z/\u{1f600}"\\\n', "I32", [2]],
      ["brain", "BF16", [2, 1]],
      ["half", "F16", [4]],
      ["codes", "F8_E4M3", [1, 3]],
    ]);
    const floats = async (name: string, length: number): Promise<number[]> => {
      const out = new Float32Array(length);
      await file.readFloats(name, out);
      return [...out];
    };
    const tiny = 2 ** -149;
    expect(await floats("embedding.weight", 4)).toEqual([
      Math.fround(0.1),
      tiny,
      -3.4028234663852886e38,
      Number.POSITIVE_INFINITY,
    ]);
    expect(await floats("nothing", 0)).toEqual([]);
    expect(await floats("half", 4)).toEqual([1, 2 ** -24, 65504, Number.NEGATIVE_INFINITY]);
    expect(await floats("brain", 2)).toEqual([1, -(2 ** -133)]);
    const integers = new Int32Array(2);
    await file.readIntegers('z/\u{1f600}"\\\n', integers);
    expect([...integers]).toEqual([-1, 2147483647]);
    expect([...(await file.readBytes(file.tensor("codes"), 1, 2))]).toEqual([0x7e, 0x01]);
  });

  it("refuses what it cannot decode, a wrong size and an unknown name", async () => {
    const file = await openSafetensors(readerOf(new Uint8Array(await readFile(golden))));
    await expect(file.readFloats("codes", new Float32Array(3))).rejects.toMatchObject({
      code: "safetensors/not-decoded",
    });
    await expect(file.readIntegers("half", new Int32Array(4))).rejects.toMatchObject({
      code: "safetensors/not-decoded",
    });
    await expect(file.readFloats("half", new Float32Array(5))).rejects.toMatchObject({
      code: "safetensors/wrong-count",
    });
    expect(() => file.tensor("nope")).toThrow(/no tensor "nope"[\s\S]*embedding\.weight/);
  });

  it("reaches tensors beyond 4 GiB, in pieces", async () => {
    const elements = 3_000_000;
    const gap = 2 ** 33;
    const header = `{"gap":{"dtype":"U8","shape":[${gap}],"data_offsets":[0,${gap}]},"w":{"dtype":"F32","shape":[${elements}],"data_offsets":[${gap},${gap + 4 * elements}]}}`;
    const head = fileOf(header);
    const reader = readerOf(head, head.length + gap + 4 * elements);
    const { read } = reader;
    // Behind the gap the file counts up.
    reader.read = async (offset, length) => {
      const bytes = await read(offset, length);
      if (offset < head.length) return bytes;
      const first = (offset - head.length - gap) / 4;
      return new Uint8Array(Float32Array.from({ length: length / 4 }, (_, i) => first + i).buffer);
    };
    const out = new Float32Array(elements);
    await (await openSafetensors(reader)).readFloats("w", out);
    expect(out.every((value, i) => value === i)).toBe(true);
    expect(reader.largestRead).toBeLessThanOrEqual(4 << 20);
  });
});

describe("a header with", () => {
  it.each(headerCases)("$name is judged right", async ({ file, code }) => {
    const reader = readerOf(file);
    const verdict = await openSafetensors(reader).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (code === undefined) expect(verdict).toBeUndefined();
    else {
      expect(verdict).toBeInstanceOf(Fault);
      expect(verdict).toMatchObject({ code: `safetensors/${code}`, kind: "input" });
      expect((verdict as Fault).at).toMatch(/^model\.safetensors @byte \d+/);
    }
    expect(reader.totalRead).toBeLessThanOrEqual(file.length);
  });
});

it("a fault names byte, tensor and arithmetic", async () => {
  const file = fileOf(
    '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,8]}}',
    8,
  );
  await expect(openSafetensors(readerOf(file))).rejects.toThrow(
    [
      "safetensors/wrong-size: the tensor's shape and its data_offsets disagree",
      '  model.safetensors @byte 62, tensor "b"',
      "  shape and dtype make 8 bytes, data_offsets 4",
    ].join("\n"),
  );
});

it("duplicates are told with both bytes", async () => {
  const file = fileOf(
    '{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
  );
  await expect(openSafetensors(readerOf(file))).rejects.toThrow("first @byte 9, again @byte 61");
});

it("a lie about the length is refused before anything is allocated", async () => {
  for (const length of [100_000_001n, 2n ** 53n + 1n, 2n ** 64n - 1n]) {
    const reader = readerOf(fileOf("{}", 0, length), 2 ** 50);
    await expect(openSafetensors(reader)).rejects.toMatchObject({ code: "safetensors/header-too-large" });
    expect(reader.totalRead).toBe(8);
  }
});

it("200,000 tensors are read in seconds, more than a million refused", async () => {
  const entries = (count: number): string =>
    `{${Array.from({ length: count }, (_, i) => `"${i}":{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`).join(",")}}`;
  const start = performance.now();
  const file = await openSafetensors(readerOf(fileOf(entries(200_000), 200_000)));
  expect(file.tensors.size).toBe(200_000);
  expect(performance.now() - start).toBeLessThan(5000);
  await expect(openSafetensors(readerOf(fileOf(entries(1_000_001), 1_000_001)))).rejects.toMatchObject({
    code: "safetensors/too-many-tensors",
  });
});

describe("any bytes whatever", () => {
  const judge = async (file: Uint8Array): Promise<void> => {
    const reader = readerOf(file);
    const error = await openSafetensors(reader).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (error !== undefined) expect(error).toBeInstanceOf(Fault);
    expect(reader.totalRead).toBeLessThanOrEqual(file.length);
  };

  it("are opened or refused with a fault, never more", async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), judge), { numRuns: 500 });
  });

  it("as a header are opened or refused with a fault, never more", async () => {
    const text = fc.oneof(
      fc.string({
        unit: fc.constantFrom(...'{}[]",:0123456789-.eE\\u \n\u00e9', "F32", "dtype", "shape", "data_offsets"),
        maxLength: 80,
      }),
      fc.json(),
    );
    await fc.assert(
      fc.asyncProperty(text, fc.nat(40), (header, data) => judge(fileOf(header, data))),
      { numRuns: 1000 },
    );
  });

  it("that differ from a whole file in a few places are opened or refused with a fault", async () => {
    const whole = new Uint8Array(await readFile(golden));
    const edits = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(edits, fc.nat(whole.length), async (changes, length) => {
        const bytes = whole.slice(0, length === 0 ? whole.length : length);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        await judge(bytes);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("narrow floats", () => {
  /** The value of a float of 1 sign bit, `exponentBits` and `fractionBits`, by its definition. */
  function valueOfCode(code: number, exponentBits: number, fractionBits: number): number {
    const bias = 2 ** (exponentBits - 1) - 1;
    const fraction = code % 2 ** fractionBits;
    const exponent = Math.floor(code / 2 ** fractionBits) % 2 ** exponentBits;
    const sign = code >= 2 ** (exponentBits + fractionBits) ? -1 : 1;
    if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    if (exponent === 0) return sign * fraction * 2 ** (1 - bias - fractionBits);
    return sign * (2 ** fractionBits + fraction) * 2 ** (exponent - bias - fractionBits);
  }

  const codes = new Uint8Array(Uint16Array.from({ length: 65536 }, (_, code) => code).buffer);

  it.each([
    ["bf16", decodeBf16, 8, 7],
    ["f16", decodeF16, 5, 10],
  ] as const)("every one of the 65,536 codes of %s has its value", (_, decode, exponentBits, fractionBits) => {
    const out = new Float32Array(65536);
    decode(codes, out);
    const wrong = [...out.keys()].filter(
      (code) => !Object.is(out[code], valueOfCode(code, exponentBits, fractionBits)),
    );
    expect(wrong).toEqual([]);
  });
});

it("every format of the table has a width", () => {
  expect(dtypeNames).toHaveLength(22);
});
