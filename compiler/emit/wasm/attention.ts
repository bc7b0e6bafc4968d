// Attention kernels → views: the score, mask and gradient formulas as statements on four keys at a time.

import { differentiateFormula } from "../../formula/derivative.ts";
import type { Formula } from "../../formula/formula.ts";
import { intervalProgram } from "../../formula/interval.ts";
import { lowerFormula, type Operation, operationsBelow } from "../../formula/lower.ts";
import { printFormula } from "../../formula/print.ts";
import { postorder } from "../../formula/terms.ts";
import type {
  AttentionBackwardKernel,
  AttentionKernel,
  AttentionNumbers,
  AttentionPagedKernel,
} from "../../kernels/plan.ts";
import { invariant } from "../../source/diagnostic.ts";
import { get, WatCode } from "../../targets/wasm/code.ts";
import { expOfNegative, log } from "../../targets/wasm/elementary.ts";
import { spellInterval } from "../../targets/wasm/interval.ts";
import { countReaders, Speller } from "../../targets/wasm/spell.ts";
import { commentText } from "../comment.ts";

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
    const derivative = differentiateFormula(score, { by: ["s"] });
    const seed = `d_${score.outputs[0].name}`;
    this.evaluate(
      derivative,
      new Map([
        ["s", get("s.")],
        [seed, get("d_y")],
      ]),
      "d_s",
    );
    code.put("(v128.store (i32.add (local.get $scores_row) (local.get $lane)) (local.get $p))");
    code.put(
      `(v128.store (i32.add (local.get $d_row) (local.get $lane)) (f32x4.mul (local.get $d_s) ${code.float(scale)}))`,
    );
  }
}

/** Locals, statements and flags of templates/wasm/parts/classify.hbs. */
function classifyView(kernel: AnyAttentionKernel): AttentionView {
  const { mask } = kernel;
  const readsDocuments = postorder(mask.outputs.map((o) => o.term)).some(
    (t) => t.op === "input" && t.name === "same_document",
  );
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
    usesDocuments: readsDocuments && hasDocuments(kernel),
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
  const { headDim, heads, kvHeads, layout } = kernel;
  return {
    name,
    headDim,
    kvHeads,
    groupHeads: heads / kvHeads,
    headBytes: headDim * 4,
    headPanels: Math.ceil(headDim / 16),
    queryBlock: kernel.queryBlock,
    keyBlock: kernel.keyBlock,
    qPitch: kernel.qPitch * 4,
    kvPitch: kernel.kvPitch * 4,
    panelBytes: roundUp(headDim, 4) * 64,
    ...layout,
    ...classifyView(kernel),
  };
}

interface ProductView {
  readonly name: string;
  readonly aRow: number;
  readonly aRow2: number;
  readonly aDepth: number;
  readonly bPanel: number;
  readonly bDepth: number;
  readonly outPitch: number;
}

export function productView(
  name: string,
  a: { readonly row: number; readonly depth: number },
  b: { readonly panel: number; readonly depth: number },
  outPitch: number,
): ProductView {
  return { name, aRow: a.row, aRow2: 2 * a.row, aDepth: a.depth, bPanel: b.panel, bDepth: b.depth, outPitch };
}

/** q · kᵀ from transposed keys. */
const scoresProduct = (kernel: AttentionNumbers & { facts: { name: string } }): ProductView =>
  productView(
    `${kernel.facts.name}.scores`,
    { row: kernel.qPitch * 4, depth: 4 },
    { panel: roundUp(kernel.headDim, 4) * 64, depth: 64 },
    kernel.layout.scoresPitch,
  );

function forwardView(
  kernel: AttentionKernel | AttentionPagedKernel,
  valuePitch: number,
  packPitch: number,
): Record<string, unknown> {
  const { name } = kernel.facts;
  const { layout } = kernel;
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
      scoresProduct(kernel),
      productView(
        `${name}.values`,
        { row: layout.scoresPitch, depth: 4 },
        { panel: 64, depth: valuePitch },
        layout.accPitch,
      ),
    ],
    transposes: [{ name: `${name}.transpose`, pitch: packPitch }],
    packPitch,
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
  const { sequence, queryChunk, kvHeads, kvPitch, logSumExpPitch } = kernel;
  const chunks = Math.ceil(sequence / queryChunk);
  const numbers = {
    sequence,
    queryChunk,
    chunks,
    tilesPerSequence: chunks * kvHeads,
    logSumExpPitch: logSumExpPitch * 4,
  };
  return { ...forwardView(kernel, kvPitch * 4, kvPitch * 4), ...numbers };
}

export function attentionPagedView(kernel: AttentionPagedKernel): AttentionView {
  const { page, queryChunk, tablePitch, tilePitch, layout } = kernel;
  const numbers = { page, queryChunk, tablePitch: tablePitch * 4, tilePitch: tilePitch * 4, logSumExpPitch: 0 };
  return { ...forwardView(kernel, layout.rowPitch, layout.rowPitch), ...numbers };
}

export function attentionBackwardView(kernel: AttentionBackwardKernel): AttentionView {
  const { name } = kernel.facts;
  const { layout, headDim, sequence } = kernel;
  const [qPitch, kvPitch] = [kernel.qPitch * 4, kernel.kvPitch * 4];
  const formulas = new PairFormulas(kernel);
  const plainGradientLines = formulas.lines(() => formulas.gradient(false));
  const maskedGradientLines = formulas.lines(() => formulas.gradient(true));
  const { code } = formulas;
  return {
    ...commonView(kernel),
    sequence,
    groupBytes: (kernel.heads / kernel.kvHeads) * headDim * 4,
    logSumExpPitch: kernel.logSumExpPitch * 4,
    headVectorBytes: Math.floor(headDim / 4) * 16,
    packPitch: kvPitch,
    constants: code.constants,
    products: [
      scoresProduct(kernel),
      productView(
        `${name}.to_keys`,
        { row: 4, depth: layout.scoresPitch },
        { panel: 64, depth: qPitch },
        layout.accPitch,
      ),
      productView(
        `${name}.to_queries`,
        { row: layout.scoresPitch, depth: 4 },
        { panel: 64, depth: kvPitch },
        layout.accPitch,
      ),
    ],
    transposes: [{ name: `${name}.transpose`, pitch: kvPitch }],
    plainGradientLines,
    maskedGradientLines,
    attendLocals: code.locals,
    attendConstants: code.constants,
  };
}
