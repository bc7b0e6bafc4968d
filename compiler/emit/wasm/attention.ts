// Attention kernels → views: the score, mask and gradient formulas as statements on four keys at a time.

import type { Formula } from "../../formula/formula.ts";
import { intervalProgram } from "../../formula/interval.ts";
import { lowerFormula, type Operation, operationsBelow } from "../../formula/lower.ts";
import { printFormula } from "../../formula/print.ts";
import { countReaders } from "../../formula/readers.ts";
import { scoreSlope } from "../../formula/score-slope.ts";
import { bytesOf } from "../../graph/types.ts";
import { readsDocuments } from "../../kernels/attention-blocks.ts";
import type {
  AttentionBackwardKernel,
  AttentionKernel,
  AttentionNumbers,
  AttentionPagedKernel,
} from "../../kernels/wasm/kernels.ts";
import { invariant } from "../../source/diagnostic.ts";
import { get, WatCode } from "../../targets/wasm/code.ts";
import { expOfNegative, log } from "../../targets/wasm/elementary.ts";
import { spellInterval } from "../../targets/wasm/interval.ts";
import { Speller } from "../../targets/wasm/spell.ts";
import { laneBytes, storeFour } from "../../targets/wasm/storage.ts";
import { commentText } from "../comment.ts";
import { type ProductView, productView, rowCopyView, type TransposeView, transposeView } from "./product.ts";

/** Parameters and locals that the templates declare in the functions that hold formulas. */
const templateLocals = [
  ...["q", "k", "v", "acc", "acc_row", "query", "queries", "key", "keys", "head", "masked", "scores", "scores_row"],
  ...["acc_at", "most_at", "total_at", "row", "lane", "lane_end", "y", "row_most", "new_most", "alpha", "p", "sum"],
  ...[
    "d_out",
    "d_q",
    "log_sum_exp",
    "delta",
    "p_rows",
    "s_rows",
    "d_row",
    "panels",
    "d_y",
    "d_s",
    "row_lse",
    "row_delta",
  ],
  ...["out", "most", "total", "inverse", "value", "lse", "query_documents", "key_documents"],
];

const lowestScore = -3.4028234663852886e38;

/** The numbers of a name space of views: bytes, and offsets into the thread's scratch. */
export type AttentionView = Readonly<Record<string, unknown>>;

type AnyAttentionKernel = AttentionKernel | AttentionBackwardKernel | AttentionPagedKernel;

/** A cached sequence is one document, and its kernel is given no document ids. */
const hasDocuments = ({ template }: AnyAttentionKernel): boolean => template !== "attention-paged";

/** Statements over the block in scratch: `lane` is the byte offset of four keys, `row` the query in the block. */
class PairFormulas {
  readonly code = new WatCode(templateLocals);
  readonly #numbers: AnyAttentionKernel;

  constructor(numbers: AnyAttentionKernel) {
    this.#numbers = numbers;
  }

  lines(body: () => void): string[] {
    const start = this.code.lines.length;
    body();
    return this.code.lines.splice(start);
  }

  get #keys(): string {
    const lanes = this.code.vector("lanes", "(v128.const i32x4 0 1 2 3)");
    return `(i32x4.add (i32x4.splat (i32.add (local.get $key) (i32.shr_u (local.get $lane) (i32.const 2)))) ${lanes})`;
  }

  /** Puts the value of a formula's first output into `$result`. */
  evaluate(formula: Formula, inputs: ReadonlyMap<string, string>, result: string): void {
    const lowered = lowerFormula(formula);
    const root = lowered.outputs[0].operation;
    const operations = operationsBelow([root]);
    const speller = this.#speller(inputs, lowered.names);
    speller.compute(operations, countReaders(operations, [root]));
    this.code.set(result, root.kind === "condition" ? speller.spell(root) : speller.real(root));
  }

  #speller(inputs: ReadonlyMap<string, string>, names: ReadonlyMap<Operation, string>): Speller {
    const never = (what: string) => (): string => invariant(false, `attention formulas have no ${what}`) as never;
    return new Speller(
      this.code,
      {
        input: (operation) => this.#input(operation, inputs),
        index: never("index"),
        count: never("count"),
        pick: never("pick"),
      },
      names,
    );
  }

  #input(operation: Operation, inputs: ReadonlyMap<string, string>): string {
    const name = operation.input ?? "";
    switch (name) {
      case "q":
        return "(i32x4.splat (i32.add (local.get $query) (local.get $row)))";
      case "k":
        return this.#keys;
      case "head":
        return "(i32x4.splat (local.get $head))";
      case "same_document": {
        if (!hasDocuments(this.#numbers)) return "(v128.const i32x4 -1 -1 -1 -1)";
        const own =
          "(v128.load32_splat (i32.add (local.get $query_documents) (i32.shl (local.get $row) (i32.const 2))))";
        return `(i32x4.eq (v128.load (i32.add (local.get $key_documents) (local.get $lane))) ${own})`;
      }
      default: {
        const given = inputs.get(name);
        invariant(given !== undefined, `attention formula reads ${name}`);
        return given;
      }
    }
  }

  /** The scaled score of a block in scratch into `$y`. */
  score(): void {
    const s = this.code.shared("s.", "v128");
    const { scale, score } = this.#numbers;
    this.code.set(
      s,
      `(f32x4.mul (v128.load (i32.add (local.get $scores_row) (local.get $lane))) ${this.code.float(scale)})`,
    );
    this.evaluate(score, new Map([["s", get(s)]]), "y");
  }

  /** The mask, and whether the key is there at all, into `$visible.`. */
  visibility(): void {
    const visible = this.code.shared("visible.", "v128");
    this.evaluate(this.#numbers.mask, new Map(), visible);
    const limit = "(i32x4.splat (i32.add (local.get $key) (local.get $keys)))";
    this.code.set(visible, `(v128.and ${get(visible)} (i32x4.lt_s ${this.#keys} ${limit}))`);
  }

  /** p and d_s from `$y`, `$row_lse`, d_p in scratch and `$row_delta`; stores both. */
  gradient(isMasked: boolean): void {
    const { code } = this;
    const { scale, score } = this.#numbers;
    this.score();
    expOfNegative(code, "(f32x4.sub (local.get $y) (local.get $row_lse))", "p");
    if (isMasked) {
      this.visibility();
      code.set("p", "(v128.and (local.get $p) (local.get $visible.))");
    }
    const dP = "(v128.load (i32.add (local.get $d_row) (local.get $lane)))";
    code.set("d_y", `(f32x4.mul (local.get $p) (f32x4.sub ${dP} (local.get $row_delta)))`);
    const slope = scoreSlope(score);
    this.evaluate(
      slope.formula,
      new Map([
        ["s", get("s.")],
        [slope.adjoint, get("d_y")],
      ]),
      "d_s",
    );
    // A pair that has no share adds nothing, even where its score has no slope.
    const hasShare = "(f32x4.ne (local.get $d_y) (v128.const f32x4 0 0 0 0))";
    if (!slope.isAdjoint) code.set("d_s", `(v128.and (local.get $d_s) ${hasShare})`);
    code.put("(v128.store (i32.add (local.get $scores_row) (local.get $lane)) (local.get $p))");
    code.put(
      `(v128.store (i32.add (local.get $d_row) (local.get $lane)) (f32x4.mul (local.get $d_s) ${code.float(scale)}))`,
    );
  }
}

/** Locals, statements and flags of templates/wasm/parts/classify.hbs. */
function classifyView(kernel: AnyAttentionKernel): AttentionView {
  const { mask } = kernel;
  const number = (local: string) => `(f64.convert_i32_s (local.get $${local}))`;
  const args: Readonly<Record<string, string>> = {
    q_low: number("query_first"),
    q_high: number("query_last"),
    k_low: number("key_first"),
    k_high: number("key_last"),
    head_low: number("head"),
    head_high: number("head"),
    same_document_may: "(local.get $same_document_may)",
    same_document_must: "(local.get $same_document_must)",
  };
  const spelled = spellInterval(intervalProgram(mask), (name) => args[name]);
  return {
    usesDocuments: readsDocuments(mask) && hasDocuments(kernel),
    maskText: commentText(printFormula(mask)),
    maskLocals: spelled.locals,
    maskStatements: spelled.statements,
    maskMay: spelled.may,
    maskMust: spelled.must,
  };
}

const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to;

/** Bytes that all three templates share. */
function commonView(kernel: AnyAttentionKernel): Record<string, unknown> {
  const { name } = kernel.facts;
  const { keyDim, valueDim, heads, kvHeads, layout } = kernel;
  return {
    name,
    keyDim,
    groupHeads: heads / kvHeads,
    keyBytes: keyDim * 4,
    valueBytes: valueDim * 4,
    valuePanels: Math.ceil(valueDim / 16),
    queryBlock: kernel.queryBlock,
    keyBlock: kernel.keyBlock,
    qPitch: kernel.qPitch * bytesOf[kernel.qFormat],
    kPitch: kernel.kPitch * 4,
    vPitch: kernel.vPitch * 4,
    outPitch: kernel.outPitch * bytesOf[kernel.outFormat],
    ...layout,
    ...classifyView(kernel),
  };
}

/** Functions that differ in nothing but their names are written once; `named` says which name stands for which. */
class Functions<V extends { readonly name: string }> {
  readonly all: V[] = [];

  /** The name of the function that does what `view` does. */
  add(view: V): string {
    const numbers = ({ name, ...rest }: V) => JSON.stringify(rest);
    const known = this.all.find((other) => numbers(other) === numbers(view));
    if (known === undefined) this.all.push(view);
    return known?.name ?? view.name;
  }
}

/** Rows against transposed rows of `channels` columns: q · kᵀ, and d_out · vᵀ. */
const scoresProduct = (
  name: string,
  pitch: number,
  channels: number,
  { layout }: AttentionNumbers,
  format: "f32" | "bf16" = "f32",
): ProductView =>
  productView(
    name,
    { row: pitch * bytesOf[format], depth: bytesOf[format], format },
    { panel: roundUp(channels, 4) * 64, depth: 64 },
    layout.scoresPitch,
  );

interface PackView {
  readonly name: string;
  readonly transpose: string;
  readonly pitch: number;
  readonly channels: number;
  readonly panelBytes: number;
}

const packView = (name: string, transpose: string, pitch: number, channels: number): PackView => ({
  name,
  transpose,
  pitch,
  channels,
  panelBytes: roundUp(channels, 4) * 64,
});

/** What queries are read as and results are stored as: a row of results is packed in place before it is copied. */
const storageView = ({ keyDim, valueDim, qFormat, outFormat }: AttentionNumbers) => ({
  qHeadBytes: keyDim * bytesOf[qFormat],
  outHeadBytes: valueDim * bytesOf[outFormat],
  storeLines: storeFour(outFormat, `(i32.add (local.get $acc) ${laneBytes(outFormat, 1)})`, get("value"), "value"),
});

function forwardView(
  kernel: AttentionKernel | AttentionPagedKernel,
  tileHeads: number,
  keyPitch: number,
  valuePitch: number,
): Record<string, unknown> {
  const { name } = kernel.facts;
  const { layout, qPitch, keyDim, hasSinks, queryChunk } = kernel;
  const formulas = new PairFormulas(kernel);
  const { code } = formulas;
  const lowest = code.float(lowestScore);
  const plainScoreLines = formulas.lines(() => formulas.score());
  const maskedScoreLines = formulas.lines(() => {
    formulas.score();
    formulas.visibility();
    code.set("y", `(v128.bitselect (local.get $y) ${lowest} (local.get $visible.))`);
  });
  const alphaLines = formulas.lines(() =>
    expOfNegative(code, "(f32x4.sub (local.get $alpha) (local.get $new_most))", "alpha"),
  );
  const weightLines = formulas.lines(() =>
    expOfNegative(code, "(f32x4.sub (local.get $y) (local.get $new_most))", "p"),
  );
  const finish = new WatCode(templateLocals);
  log(finish, "(local.get $sum)", "lse");
  const constants = new Map([...code.constants, ...finish.constants].map((c) => [c.name, c]));
  return {
    ...commonView(kernel),
    constants: [...constants.values()],
    products: [
      scoresProduct(`${name}.scores`, qPitch, keyDim, kernel, kernel.qFormat),
      productView(
        `${name}.values`,
        { row: layout.scoresPitch, depth: 4 },
        { panel: 64, depth: valuePitch },
        layout.accPitch,
      ),
    ],
    transposes: [transposeView(`${name}.transpose`, keyPitch)],
    packs: [packView(`${name}.pack`, `${name}.transpose`, keyPitch, keyDim)],
    ...storageView(kernel),
    hasSinks,
    tileHeadsBytes: tileHeads * 4,
    chunkBytes: queryChunk * 4,
    mostToTotal: layout.mostOffset - layout.totalOffset,
    lowest,
    plainScoreLines,
    maskedScoreLines,
    alphaLines,
    weightLines,
    attendLocals: code.locals,
    attendConstants: code.constants,
    finishLocals: finish.locals,
    finishConstants: finish.constants,
    logLines: finish.lines,
  };
}

export function attentionView(kernel: AttentionKernel): AttentionView {
  const { sequence, queryChunk, heads, kvHeads, kPitch, vPitch, logSumExpPitch } = kernel;
  const chunks = Math.ceil(sequence / queryChunk);
  const numbers = {
    sequence,
    queryChunk,
    chunks,
    kvHeads,
    tilesPerSequence: chunks * kvHeads,
    logSumExpPitch: logSumExpPitch * 4,
  };
  return { ...forwardView(kernel, heads / kvHeads, kPitch * 4, vPitch * 4), ...numbers };
}

export function attentionPagedView(kernel: AttentionPagedKernel): AttentionView {
  const { page, queryChunk, tileHeads, heads, sharesRows, tablePitch, tilePitch, layout } = kernel;
  const { name } = kernel.facts;
  const widensKeys = kernel.kFormat === "bf16";
  const widensValues = kernel.vFormat === "bf16" && !sharesRows;
  const [keyElement, valueElement] = [kernel.kFormat, kernel.vFormat].map((format) => (format === "bf16" ? 2 : 4));
  const caches = {
    widensKeys,
    widensValues,
    rowCopies: [
      ...(widensKeys ? [rowCopyView(`${name}.key_row`, kernel.keyDim, "bf16", "f32")] : []),
      ...(widensValues ? [rowCopyView(`${name}.value_row`, kernel.valueDim, "bf16", "f32")] : []),
    ],
    kPitch: kernel.kPitch * keyElement,
    vPitch: kernel.vPitch * valueElement,
    keyCacheBytes: kernel.keyDim * keyElement,
    valueCacheBytes: kernel.valueDim * valueElement,
  };
  const tiles = { tileHeads, headTiles: heads / tileHeads, copiesValues: !sharesRows && !widensValues };
  const numbers = {
    page,
    queryChunk,
    ...tiles,
    tablePitch: tablePitch * 4,
    tilePitch: tilePitch * 4,
    logSumExpPitch: 0,
    ...caches,
  };
  return { ...forwardView(kernel, tileHeads, layout.rowPitch, layout.rowPitch), ...numbers };
}

export function attentionBackwardView(kernel: AttentionBackwardKernel): AttentionView {
  const { name } = kernel.facts;
  const { layout, keyDim, valueDim, sequence, kvHeads } = kernel;
  const [qPitch, kPitch, vPitch, outPitch] = [kernel.qPitch, kernel.kPitch, kernel.vPitch, kernel.outPitch];
  const formulas = new PairFormulas(kernel);
  const plainGradientLines = formulas.lines(() => formulas.gradient(false));
  const maskedGradientLines = formulas.lines(() => formulas.gradient(true));
  const { code } = formulas;
  const [products, transposes, packs] = [
    new Functions<ProductView>(),
    new Functions<TransposeView>(),
    new Functions<PackView>(),
  ];
  const fromRows = (to: string, pitch: number): ProductView =>
    productView(
      `${name}.${to}`,
      { row: 4, depth: layout.scoresPitch },
      { panel: 64, depth: pitch * 4 },
      layout.accPitch,
    );
  const pack = (what: string, pitch: number, channels: number): string => {
    const transpose = transposes.add(transposeView(`${name}.transpose${what}`, pitch * 4));
    return packs.add(packView(`${name}.pack${what}`, transpose, pitch * 4, channels));
  };
  return {
    ...commonView(kernel),
    kvHeads,
    valueDim,
    sequence,
    groupKeyBytes: (kernel.heads / kvHeads) * keyDim * 4,
    groupValueBytes: (kernel.heads / kvHeads) * valueDim * 4,
    logSumExpPitch: kernel.logSumExpPitch * 4,
    keyVectorBytes: Math.floor(keyDim / 4) * 16,
    keyPanels: Math.ceil(keyDim / 16),
    constants: code.constants,
    scores: products.add(scoresProduct(`${name}.scores`, qPitch, keyDim, kernel)),
    valueScores: products.add(scoresProduct(`${name}.value_scores`, outPitch, valueDim, kernel)),
    toKeys: products.add(fromRows("to_keys", qPitch)),
    toValues: products.add(fromRows("to_values", outPitch)),
    toQueries: products.add(
      productView(
        `${name}.to_queries`,
        { row: layout.scoresPitch, depth: 4 },
        { panel: 64, depth: kPitch * 4 },
        layout.accPitch,
      ),
    ),
    packKeys: pack("", kPitch, keyDim),
    packValues: pack("_values", vPitch, valueDim),
    products: products.all,
    transposes: transposes.all,
    packs: packs.all,
    plainGradientLines,
    maskedGradientLines,
    attendLocals: code.locals,
    attendConstants: code.constants,
  };
}
