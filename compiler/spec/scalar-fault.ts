// What is wrong with a scalar where the schema expects a certain kind: literals only, no expression is read here.

import type { Diagnostic } from "../source/diagnostic.ts";
import * as say from "../source/messages/key.ts";
import type { Place } from "../source/text.ts";
import type { YamlScalar } from "../source/yaml-node.ts";
import { expressionPattern, type NumberShape, type Shape } from "./shape.ts";
import { nodeWords } from "./words.ts";

/** The fault of a scalar at `path`, if it has one; `expected` says what may stand there. */
export function scalarFault(node: YamlScalar, shape: Shape, path: string, expected: string): Diagnostic | undefined {
  const { value } = node;
  switch (shape.kind) {
    case "whole":
    case "real":
      if (typeof value === "number") return numberFault(node, value, shape, path);
      if (typeof value === "string" && value !== "") {
        return expressionPattern.test(value) ? undefined : say.quotedNumber(path, value, node.place);
      }
      break;
    case "version":
      if (typeof value === "number") return versionFault(node, value, shape.version);
      break;
    case "flag":
      if (typeof value === "boolean") return undefined;
      return say.wrongKind(path, expected, nodeWords(node), node.place, flagHelp(value));
    case "choice":
      return choiceFault(node, shape, path, expected);
    case "text":
      if (typeof value === "string" && value !== "") return textFault(node, value, shape, path);
      return say.wrongKind(
        path,
        expected,
        nodeWords(node),
        node.place,
        typeof value === "string" || value === null ? undefined : "put it in quotes",
      );
    case "range":
      if (typeof value === "number" && Number.isInteger(value)) return undefined;
      if (typeof value === "string" && value !== "") return undefined;
      break;
    case "formula":
    case "schedule":
      if (typeof value === "number") return undefined;
      if (typeof value === "string" && value !== "") return undefined;
      break;
    default:
      if (typeof value === "string" && value !== "") return undefined;
  }
  return say.wrongKind(path, expected, nodeWords(node), node.place);
}

function numberFault(node: YamlScalar, value: number, shape: NumberShape, path: string): Diagnostic | undefined {
  const text = node.text.text;
  if (shape.kind === "whole" && (text.includes(".") || !Number.isInteger(value))) {
    return say.fraction(path, text, Number.isInteger(value) ? value : undefined, node.place);
  }
  if (shape.kind === "whole" && Math.abs(value) > 2 ** 53) return say.beyondExact(path, text, node.place);
  if (!isWithin(value, shape)) return say.outOfRange(path, text, shape, node.place);
  return floatFault(value, shape, path, text, node.place);
}

/** What is wrong with a number that kernels compute with; `words` is the number as it is written. */
export function floatFault(
  value: number,
  { isFloat, ...bounds }: NumberShape,
  path: string,
  words: string,
  place: Place,
): Diagnostic | undefined {
  const rounded = Math.fround(value);
  if (!isFloat) return undefined;
  if (!Number.isFinite(rounded)) return say.beyondFloat(path, words, place);
  // 1 - 2^-30 is below 1, but not as a float.
  return !isWithin(rounded, bounds) ? say.roundsToBound(path, words, rounded, place) : undefined;
}

export function isWithin(value: number, { least, most, above, below }: NumberShape): boolean {
  if (least !== undefined && value < least) return false;
  if (most !== undefined && value > most) return false;
  if (above !== undefined && value <= above) return false;
  return below === undefined || value < below;
}

function choiceFault(
  node: YamlScalar,
  { words, isFlagToo }: Shape & { kind: "choice" },
  path: string,
  expected: string,
): Diagnostic | undefined {
  const { value } = node;
  if (isFlagToo && typeof value === "boolean") return undefined;
  const help = isFlagToo ? flagHelp(value) : undefined;
  if (typeof value !== "string" || help !== undefined) {
    return say.wrongKind(path, expected, nodeWords(node), node.place, help);
  }
  if (words.includes(value)) return undefined;
  return say.unknownWord(path, value, isFlagToo ? ["true", "false", ...words] : words, node.place);
}

function versionFault(node: YamlScalar, value: number, known: number): Diagnostic | undefined {
  if (value === known) return undefined;
  const text = node.text.text;
  return value > known ? say.needsNewer(text, known, node.place) : say.unknownVersion(text, known, node.place);
}

function textFault(
  node: YamlScalar,
  value: string,
  shape: Shape & { kind: "text" },
  path: string,
): Diagnostic | undefined {
  if (shape.pattern === undefined || shape.pattern.test(value)) return undefined;
  return say.malformedText(path, value, String(shape.pattern), shape.example, node.place);
}

/** YAML 1.1 read these words as booleans, 1.2 reads them as text. */
function flagHelp(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  if (/^(yes|on|y)$/i.test(value)) return "write `true`";
  return /^(no|off|n)$/i.test(value) ? "write `false`" : undefined;
}
