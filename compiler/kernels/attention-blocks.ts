// What a mask does with the blocks of queries and keys that a kernel meets: a note, and nothing that a kernel needs.

import type { Formula } from "../formula/formula.ts";
import { classifyBlock, intervalProgram } from "../formula/interval.ts";
import { postorder } from "../formula/terms.ts";
import type { AttentionRequest } from "../ops/skeletons.ts";
import type { NodePlanner } from "./planner.ts";

export interface BlockSize {
  readonly queries: number;
  readonly keys: number;
}

/** Counting more blocks than these takes longer than a note is worth. */
const mostNoted = 65536;
const blockNotes = new WeakMap<Formula, Map<string, string>>();

/** Whether the mask asks for documents. */
export const readsDocuments = (mask: Formula): boolean => reads(mask, "same_document");

const reads = (mask: Formula, name: string): boolean =>
  postorder(mask.outputs.map((o) => o.term)).some((t) => t.op === "input" && t.name === name);

/** How many blocks the mask lets the kernel skip, or leaves without a test; documents are known at run time only. */
export function noteBlocks(
  planner: NodePlanner,
  { formulas: { mask }, heads }: Pick<AttentionRequest, "formulas" | "heads">,
  sequence: number,
  size: BlockSize,
): void {
  if (Math.ceil(sequence / size.queries) * Math.ceil(sequence / size.keys) > mostNoted) return;
  const known = blockNotes.get(mask) ?? new Map<string, string>();
  blockNotes.set(mask, known);
  const key = `${sequence} ${heads} ${size.queries} ${size.keys}`;
  const note = known.get(key) ?? describeBlocks(mask, heads, sequence, size);
  known.set(key, note);
  planner.note("kernel", note);
}

function describeBlocks(mask: Formula, heads: number, sequence: number, { queries, keys }: BlockSize): string {
  const program = intervalProgram(mask);
  const counts = [0, 0, 0];
  const documents = { same_document_may: 1, same_document_must: 1 };
  for (let head = 0; head < (reads(mask, "head") ? heads : 1); head++) {
    for (let q = 0; q < sequence; q += queries) {
      for (let k = 0; k < sequence; k += keys) {
        const [qHigh, kHigh] = [Math.min(sequence, q + queries) - 1, Math.min(sequence, k + keys) - 1];
        const pairs = { q_low: q, q_high: qHigh, k_low: k, k_high: kHigh, head_low: head, head_high: head };
        counts[classifyBlock(program, { ...pairs, ...documents })]++;
      }
    }
  }
  const [skipped, tested, passed] = counts;
  return `of ${skipped + tested + passed} blocks of ${queries} queries by ${keys} keys the mask skips ${skipped}, tests ${tested} and passes ${passed}`;
}
