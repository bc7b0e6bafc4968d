// @ts-check
// Writes models as ONNX has them: the few messages of its protobuf schema that a decoder needs (onnx.proto, version 8).

/** @typedef {Buffer} Field a field with its tag, ready to be joined with others of its message */

/** @param {number} value */
function varint(value) {
  const bytes = [];
  // Negative numbers are written as 64 bits.
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}

/** @param {number} field @param {number} wire */
const tag = (field, wire) => varint((field << 3) | wire);

/** @param {number} field @param {number} value @returns {Field} */
const int = (field, value) => Buffer.concat([tag(field, 0), varint(value)]);

/** @param {number} field @param {number} value @returns {Field} */
function float(field, value) {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([tag(field, 5), bytes]);
}

/** @param {number} field @param {string | Uint8Array} value @returns {Field} */
function bytes(field, value) {
  const content = Buffer.from(/** @type {Uint8Array} */ (value));
  return Buffer.concat([tag(field, 2), varint(content.length), content]);
}

/** @param {number} field @param {Field[]} fields @returns {Field} */
const message = (field, ...fields) => bytes(field, Buffer.concat(fields));

const kinds = { float: 1, int: 2 };

/** @param {string} name @param {"float" | "int"} kind @param {number} value */
const attribute = (name, kind, value) =>
  message(5, bytes(1, name), kind === "float" ? float(2, value) : int(3, value), int(20, kinds[kind]));

/** Operators that ONNX Runtime has beyond the standard. */
export const ortDomain = "com.microsoft";

/**
 * A node of a graph.
 * @param {string} op @param {string[]} inputs @param {string[]} outputs
 * @param {{ floats?: Record<string, number>, ints?: Record<string, number>, domain?: string }} more
 * @returns {Field}
 */
export function node(op, inputs, outputs, { floats = {}, ints = {}, domain = "" } = {}) {
  return message(
    1,
    ...inputs.map((name) => bytes(1, name)),
    ...outputs.map((name) => bytes(2, name)),
    bytes(4, op),
    ...Object.entries(floats).map(([name, value]) => attribute(name, "float", value)),
    ...Object.entries(ints).map(([name, value]) => attribute(name, "int", value)),
    bytes(7, domain),
  );
}

const types = { f32: 1, i32: 6, i64: 7 };

/** A constant of a graph, row-major. @param {string} name @param {number[]} dims @param {Float32Array} values @returns {Field} */
export function constant(name, dims, values) {
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return message(5, ...dims.map((size) => int(1, size)), int(2, types.f32), bytes(8, name), bytes(9, raw));
}

/** @param {number} field @param {string} name @param {keyof typeof types} type @param {(number | string)[]} dims */
function declared(field, name, type, dims) {
  const sizes = dims.map((size) => message(1, typeof size === "number" ? int(1, size) : bytes(2, size)));
  return message(field, bytes(1, name), message(2, message(1, int(1, types[type]), message(2, ...sizes))));
}

/** What a graph is given; dimensions by name are open. @type {(name: string, type: keyof typeof types, dims: (number | string)[]) => Field} */
export const input = (name, type, dims) => declared(11, name, type, dims);

/** What it gives back. @type {(name: string, type: keyof typeof types, dims: (number | string)[]) => Field} */
export const output = (name, type, dims) => declared(12, name, type, dims);

/** A file with one graph, its nodes in the order in which they run. @param {Field[]} fields */
export function onnxFile(fields) {
  const opsets = [message(8, bytes(1, ""), int(2, 17)), message(8, bytes(1, ortDomain), int(2, 1))];
  return Buffer.concat([int(1, 8), ...opsets, message(7, ...fields, bytes(2, "decoder"))]);
}
