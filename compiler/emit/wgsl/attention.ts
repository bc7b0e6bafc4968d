// Attention's score and mask formulas → functions of one query and four keys, for the views of templates/wgsl/attention-*.

import type { Formula } from "../../formula/formula.ts";
import { intervalProgram } from "../../formula/interval.ts";
import { lowerFormula, operationsBelow } from "../../formula/lower.ts";
import { printFormula } from "../../formula/print.ts";
import { countReaders } from "../../formula/readers.ts";
import { scoreSlope } from "../../formula/score-slope.ts";
import type { WgslHeads, WgslHeadVectors, WgslPairs } from "../../kernels/wgsl/kernels.ts";
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

/** A function that brings a slice of an operand's channels into workgroup memory; texts are expressions. */
interface StageView {
  readonly operand: string;
  readonly memory: "own" | "other";
  readonly count: "OWN" | "OTHER";
  readonly pitch: "LANES" | "PITCH";
  readonly vectors: string;
  readonly row: string;
  readonly head: string;
}

export interface HeadVectorsView {
  readonly elementary: readonly string[];
  readonly heads: number;
  readonly readHeads: readonly HeadsView[];
  readonly writtenHeads: readonly HeadsView[];
}

export interface PairsView extends HeadVectorsView {
  readonly scale: string;
  readonly readsDocuments: boolean;
  readonly hasGradient: boolean;
  readonly scoreText: string;
  readonly scoreLines: readonly string[];
  readonly slopeLines: readonly string[];
  readonly maskText: string;
  readonly maskLines: readonly string[];
  readonly blockLines: readonly string[];
  readonly stages: readonly StageView[];
  readonly ownRow: string;
  readonly otherRow: string;
  readonly otherRows: "queries" | "keys";
}

/** Parameters of the functions that hold formulas. */
const parameters = ["s", "q", "k", "head", "same_document", "d_y"];

export const headVectorsView = (
  { heads, operands, elementary }: WgslHeadVectors,
  called: ReadonlySet<string> = new Set(elementary),
): HeadVectorsView => ({
  elementary: elementaryFunctions(called),
  heads,
  readHeads: operands.filter(({ access }) => access === "read").map(headsView),
  writtenHeads: operands.filter(({ access }) => access === "write").map(headsView),
});

export function pairsView(pairs: WgslPairs): PairsView {
  const { score, mask, scale, readsDocuments, hasGradient, elementary } = pairs;
  const called = new Set(elementary);
  const scoreLines = functionLines(score, new Map(), called);
  const slopeLines = hasGradient ? slopeLinesOf(score, called) : [];
  const maskLines = functionLines(mask, new Map(), called);
  return {
    ...headVectorsView(pairs, called),
    scale: floatText(scale),
    readsDocuments,
    hasGradient,
    scoreText: commentText(printFormula(score)),
    scoreLines,
    slopeLines,
    maskText: commentText(printFormula(mask)),
    maskLines,
    blockLines: blockLines(pairs),
    ...tileView(pairs),
  };
}

const rowFunctions = { queries: "query_row", keys: "key_row" } as const;

/** What a workgroup that owns a block of queries or keys brings into its memory, and how. */
function tileView({ operands, owns }: WgslPairs): Pick<PairsView, "stages" | "ownRow" | "otherRow" | "otherRows"> {
  const others = owns === "keys" ? "queries" : "keys";
  const stages = owns === undefined ? [] : operands.filter(({ access }) => access === "read");
  return {
    stages: stages.map(({ operand, of, channels }) => ({
      operand: ident(operand),
      ...(of === owns
        ? ({ memory: "own", count: "OWN", pitch: "LANES" } as const)
        : ({ memory: "other", count: "OTHER", pitch: "PITCH" } as const)),
      vectors: `${Math.ceil(channels / 4)}u`,
      row: rowFunctions[of],
      head: of === "queries" ? "query_head(rows, n)" : "rows.kv_head",
    })),
    ownRow: rowFunctions[owns ?? "queries"],
    otherRow: rowFunctions[others],
    otherRows: others,
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

/** The body of a function of a query and four keys: a formula's first output, in four lanes, and what is made of it. */
function functionLines(
  formula: Formula,
  given: ReadonlyMap<string, string>,
  called: Set<string>,
  finish = (value: string): string => value,
): string[] {
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
  return [...speller.lines, `return ${finish(wide)};`];
}

/** A pair that has no share adds nothing, even where its score has no slope. */
function slopeLinesOf(score: Formula, called: Set<string>): string[] {
  const { formula, adjoint, isAdjoint } = scoreSlope(score);
  const given = new Map([[adjoint, "d_y"]]);
  if (isAdjoint) return functionLines(formula, given, called);
  return functionLines(formula, given, called, (slope) => `select(vec4f(0.0), ${slope}, d_y != vec4f(0.0))`);
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
