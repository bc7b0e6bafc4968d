// Attention's score and mask formulas → functions of one query and four keys, for the views of templates/wgsl/attention-*.

import { differentiateFormula } from "../../formula/derivative.ts";
import type { Formula } from "../../formula/formula.ts";
import { intervalProgram } from "../../formula/interval.ts";
import { lowerFormula, operationsBelow } from "../../formula/lower.ts";
import { printFormula } from "../../formula/print.ts";
import { countReaders } from "../../formula/readers.ts";
import type { WgslHeads, WgslPairs } from "../../kernels/wgsl/kernels.ts";
import { invariant } from "../../source/diagnostic.ts";
import { elementaryFunctions } from "../../targets/wgsl/elementary.ts";
import { type SpelledNumber, spellInterval } from "../../targets/wgsl/interval.ts";
import { floatText, isVector, LocalNames, Speller } from "../../targets/wgsl/spell.ts";
import { commentText, ident } from "../comment.ts";

/** Functions that read or write four channels of one head of an operand. */
interface HeadsView {
  readonly operand: string;
  readonly isAligned: boolean;
  readonly channels: number;
  readonly pitch: number;
  /** The same in vectors of four. */
  readonly vectors: number;
  readonly pitchVectors: number;
}

export interface PairsView {
  readonly elementary: readonly string[];
  readonly scale: string;
  readonly heads: number;
  readonly readsDocuments: boolean;
  readonly hasGradient: boolean;
  readonly scoreText: string;
  readonly scoreLines: readonly string[];
  readonly slopeLines: readonly string[];
  readonly maskText: string;
  readonly maskLines: readonly string[];
  readonly blockLines: readonly string[];
  readonly readHeads: readonly HeadsView[];
  readonly writtenHeads: readonly HeadsView[];
}

/** Parameters of the functions that hold formulas. */
const parameters = ["s", "q", "k", "head", "same_document", "d_y"];

export function pairsView(pairs: WgslPairs): PairsView {
  const { score, mask, scale, heads, readsDocuments, hasGradient, operands, elementary } = pairs;
  const called = new Set(elementary);
  const seed = `d_${score.outputs[0].name}`;
  const scoreLines = functionLines(score, new Map(), called);
  const slopeLines = hasGradient
    ? functionLines(differentiateFormula(score, { by: ["s"] }), new Map([[seed, "d_y"]]), called)
    : [];
  const maskLines = functionLines(mask, new Map(), called);
  return {
    elementary: elementaryFunctions(called),
    scale: floatText(scale),
    heads,
    readsDocuments,
    hasGradient,
    scoreText: commentText(printFormula(score)),
    scoreLines,
    slopeLines,
    maskText: commentText(printFormula(mask)),
    maskLines,
    blockLines: blockLines(pairs),
    readHeads: operands.filter(({ access }) => access === "read").map(headsView),
    writtenHeads: operands.filter(({ access }) => access === "write").map(headsView),
  };
}

function headsView({ operand, channels, pitch }: WgslHeads): HeadsView {
  return {
    operand: ident(operand),
    isAligned: channels % 4 === 0,
    channels,
    pitch,
    vectors: Math.ceil(channels / 4),
    pitchVectors: pitch / 4,
  };
}

/** The body of a function of a query and four keys: a formula's first output, in four lanes. */
function functionLines(formula: Formula, given: ReadonlyMap<string, string>, called: Set<string>): string[] {
  const lowered = lowerFormula(formula);
  const root = lowered.outputs[0].operation;
  const operations = operationsBelow([root]);
  const never = (what: string) => (): string => invariant(false, `attention formulas have no ${what}`) as never;
  const speller = new Speller({
    leaves: {
      input: ({ input = "" }) => {
        const name = given.get(input) ?? input;
        invariant(parameters.includes(name), `attention formula reads ${name}`);
        return name;
      },
      index: never("index"),
      count: never("count"),
      pick: never("pick"),
    },
    names: lowered.names,
    locals: new LocalNames(parameters),
    called,
  });
  speller.compute(operations, countReaders(operations, [root]));
  const text = speller.real(root);
  const isFlag = root.kind === "condition";
  const wide = isVector(root) ? text : `${isFlag ? "vec4<bool>" : "vec4f"}(${text})`;
  return [...speller.lines, `return ${wide};`];
}

/** The body of the function that tells what the mask does with a block. */
function blockLines({ mask, positions, heads }: WgslPairs): string[] {
  const most: Readonly<Record<string, number>> = { q: positions - 1, k: positions - 1, head: heads - 1 };
  const { lines, may, must } = spellInterval(intervalProgram(mask), {
    number: (name): SpelledNumber => {
      const high = most[name.slice(0, name.lastIndexOf("_"))];
      invariant(high !== undefined, `attention mask reads ${name}`);
      return { text: name, low: 0, high };
    },
    flag: (name) => name,
  });
  return [...lines, `return select(select(NONE, SOME, ${may}), ALL, ${must});`];
}
