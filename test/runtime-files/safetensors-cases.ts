// Safetensors files as bytes, whole and broken, and a reader over bytes that counts what it is asked for.

import type { FileReader } from "../../runtime/files/disk.ts";

/** A file of a header text, the given data, and a header length that may be a lie. */
export function fileOf(header: string | Uint8Array, dataBytes = 0, length?: bigint): Uint8Array {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

export interface CountingReader extends FileReader {
  largestRead: number;
  totalRead: number;
}

/** A reader over bytes; `fileBytes` may claim more than there are. */
export function readerOf(bytes: Uint8Array, fileBytes = bytes.length): CountingReader {
  const reader: CountingReader = {
    path: "model.safetensors",
    bytes: fileBytes,
    largestRead: 0,
    totalRead: 0,
    read: async (offset, length) => {
      reader.largestRead = Math.max(reader.largestRead, length);
      reader.totalRead += length;
      return bytes.slice(offset, offset + length);
    },
    close: async () => {},
  };
  return reader;
}

const one = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';
const with1 = (text: string): string => `{"a":${text}}`;

export interface HeaderCase {
  readonly name: string;
  readonly file: Uint8Array;
  /** The fault's code behind `safetensors/`; undefined: the file is accepted. */
  readonly code: string | undefined;
  /** Where our verdict differs from the reference on purpose. */
  readonly stricter?: true;
}

function good(name: string, header: string, dataBytes: number): HeaderCase {
  return { name, file: fileOf(header, dataBytes), code: undefined };
}

function bad(code: string, name: string, header: string | Uint8Array, dataBytes: number, length?: bigint): HeaderCase {
  return { name, file: fileOf(header, dataBytes, length), code };
}

const entry = (shape: string, offsets: string, dtype = '"F32"'): string =>
  with1(`{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}`);

const nested = (depth: number): string =>
  with1(`{"dtype":"F32","x":${"[".repeat(depth)}${"]".repeat(depth)},"shape":[1],"data_offsets":[0,4]}`);

/** C1 to C6 of the fault catalogue. */
export const headerCases: readonly HeaderCase[] = [
  good("no tensors", "{}", 0),
  good("one tensor", with1(one), 4),
  good("space before and after", ` \n\t${with1(one)}\r\n `, 4),
  good("metadata", `{"__metadata__":{"k":"v","":""},"a":${one}}`, 4),
  good("metadata that is null", `{"__metadata__":null,"a":${one}}`, 4),
  good("metadata by an escaped name", `{"__metadata_\\u005f":{"k":"v"},"a":${one}}`, 4),
  good(
    "an unknown key",
    with1('{"dtype":"F32","x":[{"y":[1.5e3,true,null,"s"]}],"shape":[1],"data_offsets":[0,4]}'),
    4,
  ),
  good("125 levels under an unknown key", nested(125), 4),
  good("escaped keys and dtype", with1('{"dty\\u0070e":"F\\u00332","shape":[1],"data_offsets":[0,4]}'), 4),
  good("an empty name", `{"":${one}}`, 4),
  good("a name with NUL, slashes and dots", `{"\\u0000../../etc":${one}}`, 4),
  good("the name __proto__", `{"__proto__":${one}}`, 4),
  good("a name outside the BMP", `{"\\ud83d\\ude00":${one}}`, 4),
  good("a scalar", entry("[]", "[0,4]"), 4),
  good("an empty tensor", entry("[0,5]", "[0,0]"), 0),
  good("two empty tensors at one place", `{"a":${one.replace("[1]", "[0]").replace("4]", "0]")},"b":${one}}`, 4),
  good("a size beyond 2^53 beside a zero", entry("[0,9223372036854775808,4]", "[0,0]"), 0),
  good("rank 1000", entry(`[${Array(1000).fill(1).join(",")}]`, "[0,4]"), 4),
  good("entries out of order", `{"a":${one.replace("[0,4]", "[4,8]")},"b":${one}}`, 8),
  good("half bytes that fill a byte", entry("[2]", "[0,1]", '"F4"'), 1),
  bad("header-past-end", "a length one beyond the file", "{}", 0, 3n),
  bad("header-too-large", "a length of 100,000,001", "{}", 0, 100_000_001n),
  bad("header-too-large", "a length of 2^53 + 1", "{}", 0, 2n ** 53n + 1n),
  bad("header-too-large", "a length of 2^63", "{}", 0, 2n ** 63n),
  bad("header-too-large", "a length of 2^64 - 1", "{}", 0, 2n ** 64n - 1n),
  bad("bad-header", "a length of 0", "{}", 0, 0n),
  bad("bad-header", "a length of 1", "{}", 0, 1n),
  bad("bad-header", "an array", "[]", 0),
  bad("bad-header", "a number", "17", 0),
  bad("bad-header", "null", "null", 0),
  bad("bad-header", "a byte order mark", new Uint8Array([0xef, 0xbb, 0xbf, 0x7b, 0x7d]), 0),
  bad("bad-header", "bytes that are not UTF-8", new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x7b, 0x7d, 0x7d]), 0),
  bad("bad-header", "a lone surrogate", `{"\\ud800":${one}}`, 4),
  bad("bad-header", "a raw control character", `{"a\u0001":${one}}`, 4),
  bad("bad-header", "a comma too many", `{"a":${one},}`, 4),
  bad("bad-header", "no comma", `{"a":${one} "b":${one}}`, 4),
  bad("bad-header", "text behind the header", `${with1(one)}x`, 4),
  bad("bad-header", "an unterminated string", '{"a', 0),
  bad("bad-header", "an unterminated escape", '{"a\\', 0),
  bad("bad-header", "126 levels under an unknown key", nested(126), 4),
  bad("bad-header", "a million levels", nested(1_000_000), 4),
  bad("bad-header", "metadata of numbers", `{"__metadata__":{"k":1},"a":${one}}`, 4),
  bad("bad-header", "metadata that is text", `{"__metadata__":"x","a":${one}}`, 4),
  bad("bad-header", "no offsets", with1('{"dtype":"F32","shape":[1]}'), 4),
  bad("bad-header", "one offset", entry("[1]", "[0]"), 4),
  bad("bad-header", "three offsets", entry("[1]", "[0,4,4]"), 4),
  bad("bad-header", "a negative offset", entry("[1]", "[-4,0]"), 4),
  bad("bad-header", "an offset with a fraction", entry("[1]", "[0,4.0]"), 4),
  bad("bad-header", "an offset with an exponent", entry("[1]", "[0,4e0]"), 4),
  bad("bad-header", "an offset that is text", entry("[1]", '[0,"4"]'), 4),
  bad("bad-header", "a negative size", entry("[-1]", "[0,4]"), 4),
  bad("bad-header", "a negative zero", entry("[-0]", "[0,0]"), 0),
  bad("bad-header", "a leading zero", entry("[01]", "[0,4]"), 4),
  bad("bad-header", "a size of 2^64", entry("[18446744073709551616,0]", "[0,0]"), 0),
  bad("bad-header", "a million digits", entry(`[${"1".repeat(1_000_000)}]`, "[0,4]"), 4),
  bad(
    "bad-header",
    "an unknown number that overflows",
    with1('{"dtype":"F32","x":1e999,"shape":[1],"data_offsets":[0,4]}'),
    4,
  ),
  bad("bad-header", "a dtype that is null", entry("[1]", "[0,4]", "null"), 4),
  bad("duplicate-key", "__metadata__ twice", `{"__metadata__":{},"__metadata__":{},"a":${one}}`, 4),
  bad("duplicate-key", "dtype twice", with1('{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}'), 4),
  { ...bad("duplicate-key", "a tensor twice", `{"a":${one},"a":${one}}`, 4), stricter: true },
  { ...bad("duplicate-key", "a tensor twice, once escaped", `{"a":${one},"\\u0061":${one}}`, 4), stricter: true },
  {
    ...bad("duplicate-key", "a metadata key twice", `{"__metadata__":{"k":"1","k":"2"},"a":${one}}`, 4),
    stricter: true,
  },
  { ...bad("bad-header", "an entry that is an array", with1('["F32",[1],[0,4]]'), 4), stricter: true },
  { ...bad("bad-header", "a dtype that is an object", entry("[1]", "[0,4]", '{"F32":null}'), 4), stricter: true },
  bad("unknown-dtype", "a lower-case dtype", entry("[1]", "[0,4]", '"f32"'), 4),
  bad("unknown-dtype", "an unknown dtype", entry("[1]", "[0,4]", '"Q8_0"'), 4),
  bad("wrong-offsets", "an end before the begin", entry("[1]", "[4,0]"), 4),
  bad("wrong-offsets", "a hole", entry("[1]", "[4,8]"), 8),
  bad("wrong-offsets", "an overlap", `{"a":${one},"b":${one}}`, 4),
  bad("wrong-size", "a shape that is too small", entry("[1]", "[0,8]"), 8),
  bad("wrong-length", "tensors past the end", entry("[2]", "[0,8]"), 4),
  bad("wrong-length", "a byte too many", with1(one), 5),
  bad("wrong-length", "a byte missing", with1(one), 3),
  bad("shape-overflow", "a product beyond 2^64", entry("[2,18446744073709551614]", "[0,4]"), 4),
  bad("shape-overflow", "a product beyond 2^64 before a zero", entry("[9223372036854775808,4,0]", "[0,0]"), 0),
  bad("shape-overflow", "bits beyond 2^64", entry("[1152921504606846976]", "[0,4]"), 4),
  bad("splits-byte", "half a byte", entry("[1]", "[0,1]", '"F4"'), 1),
  { name: "no bytes at all", file: new Uint8Array(0), code: "too-short" },
  { name: "seven bytes", file: new Uint8Array(7), code: "too-short" },
];
