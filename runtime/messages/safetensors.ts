// Sentences about safetensors files: what is wrong, at which byte, in which tensor.

import { Fault } from "../fault.ts";
import { type Dtype, dtypeNames } from "../files/dtypes.ts";

/** Where in a binary file: it takes the place of line and column. */
function place(path: string, byte: number, tensor?: string): string {
  return `${path} @byte ${byte}${tensor === undefined ? "" : `, tensor ${JSON.stringify(tensor)}`}`;
}

function refuse(what: string, claim: string, at: string, details: readonly string[], help?: string): Fault {
  const parts = { code: `safetensors/${what}`, kind: "input", claim, at, details } as const;
  return new Fault(help === undefined ? parts : { ...parts, help });
}

export function headerTooShort(path: string, bytes: number): Fault {
  return refuse("too-short", "this is not a safetensors file: it is too short for a header", place(path, 0), [
    `the header's length takes 8 bytes; the file has ${bytes}`,
  ]);
}

export function headerTooLarge(path: string, length: bigint, limit: number): Fault {
  return refuse(
    "header-too-large",
    "this is not a safetensors file, or its header is too large",
    place(path, 0),
    [`the first 8 bytes give the header ${length} bytes; at most ${limit} are read`],
    "check that the file is the weights themselves and not a pointer or an archive of them",
  );
}

export function headerPastEnd(path: string, length: bigint, fileBytes: number): Fault {
  return refuse(
    "header-past-end",
    "the header ends past the end of the file",
    place(path, 0),
    [`8 + ${length} bytes of header, ${fileBytes} bytes of file`],
    "fetch the file again: it is incomplete",
  );
}

export function headerSyntax(path: string, byte: number, expected: string): Fault {
  return refuse("bad-header", `the header is not as the format has it: expected ${expected}`, place(path, byte), []);
}

export function duplicateKey(path: string, key: string, first: number, second: number): Fault {
  return refuse("duplicate-key", `the header has ${JSON.stringify(key)} twice`, place(path, second), [
    `first @byte ${first}, again @byte ${second}`,
  ]);
}

export function tooManyTensors(path: string, limit: number): Fault {
  return refuse("too-many-tensors", `the header names more than ${limit} tensors`, place(path, 8), []);
}

export function unknownDtype(path: string, byte: number, tensor: string, dtype: string): Fault {
  return refuse(
    "unknown-dtype",
    `${JSON.stringify(dtype)} is not a number format of safetensors`,
    place(path, byte, tensor),
    [`formats: ${dtypeNames.join(", ")}`],
  );
}

export function wrongOffsets(
  path: string,
  byte: number,
  tensor: string,
  begin: bigint,
  end: bigint,
  start: bigint,
): Fault {
  return refuse("wrong-offsets", "the tensors do not lie one after the other", place(path, byte, tensor), [
    `its data_offsets are [${begin}, ${end}]; the tensor before it ends at ${start}`,
  ]);
}

export function shapeOverflow(path: string, byte: number, tensor: string, shape: readonly bigint[]): Fault {
  return refuse("shape-overflow", "the tensor's size overflows 64 bits", place(path, byte, tensor), [
    `shape [${shape.join(", ")}]`,
  ]);
}

export function splitsByte(path: string, byte: number, tensor: string, dtype: Dtype, bits: bigint): Fault {
  return refuse("splits-byte", "the tensor does not end at a whole byte", place(path, byte, tensor), [
    `its ${dtype} elements take ${bits} bits`,
  ]);
}

export function wrongSize(path: string, byte: number, tensor: string, shapeBytes: bigint, offsetBytes: bigint): Fault {
  return refuse("wrong-size", "the tensor's shape and its data_offsets disagree", place(path, byte, tensor), [
    `shape and dtype make ${shapeBytes} bytes, data_offsets ${offsetBytes}`,
  ]);
}

export function uncoveredBytes(path: string, headerEnd: number, dataBytes: bigint, fileBytes: number): Fault {
  return refuse(
    "wrong-length",
    "the file is not as long as its header says",
    place(path, headerEnd),
    [`${headerEnd} bytes of header and ${dataBytes} of tensors; the file has ${fileBytes}`],
    "fetch the file again: it is incomplete or something was appended",
  );
}

export function noSuchTensor(path: string, tensor: string, names: readonly string[]): Fault {
  return refuse("no-such-tensor", `the file holds no tensor ${JSON.stringify(tensor)}`, path, [
    `it holds ${names.length}: ${names.slice(0, 8).join(", ")}${names.length > 8 ? ", …" : ""}`,
  ]);
}

export function notDecoded(path: string, tensor: string, dtype: Dtype, wanted: "float" | "integer"): Fault {
  const readable = wanted === "float" ? "F32, BF16 or F16" : "I32";
  return refuse(
    "not-decoded",
    `the tensor is ${dtype}; here ${readable} is read`,
    `${path}, tensor ${JSON.stringify(tensor)}`,
    [],
  );
}

export function wrongElementCount(path: string, tensor: string, shape: readonly number[], wanted: number): Fault {
  return refuse(
    "wrong-count",
    `the tensor has another size than the model's`,
    `${path}, tensor ${JSON.stringify(tensor)}`,
    [`its shape is [${shape.join(", ")}]; the model has ${wanted} elements`],
  );
}
