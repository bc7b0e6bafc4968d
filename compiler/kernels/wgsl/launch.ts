// Launches of wgsl kernels: from operands by name to bindings, words, and a kernel that nodes alike share.

import { invariant } from "../../source/diagnostic.ts";
import type { Access, Count, KernelFacts, Launch, Operand, PlannedTensor, TileCount, Use } from "../plan.ts";
import { kernelFacts, type NodePlanner } from "../planner.ts";
import type { WgslBinding, WgslFormulas, WgslKernel, WgslNumbers, WgslUse } from "./kernels.ts";

export interface WgslOperand {
  readonly name: string;
  readonly tensor: PlannedTensor;
  readonly access: Access;
  /** How the kernel touches it; scalars need none. */
  readonly uses: readonly WgslUse[];
  /** Bytes from the tensor's start: a multiple of 256. */
  readonly offset?: number;
  /** How much of it is bound; without it all from the offset on. */
  readonly bytes?: number;
}

export interface WgslCount {
  readonly name: string;
  readonly count: Count;
  /** For the header: what is counted. */
  readonly what: string;
}

/** What a kernel says of itself beside its operands. */
export type WgslSaid = Pick<KernelFacts, "name" | "summary" | "formula" | "source">;

export interface WgslLaunch {
  readonly template: string;
  /** The kernel's name where it is the op itself, or all that it says of itself. */
  readonly said: string | WgslSaid;
  readonly tile: string;
  readonly operands: readonly WgslOperand[];
  readonly counts: readonly WgslCount[];
  readonly threads: number;
  /** Whether all of them add up what they have by `parts/sharing.hbs`; not, unless said. */
  readonly addsOverThreads?: boolean;
  /** Whether some of them do, side by side or a power of two apart, who then count by `parts/seats.hbs`; not, unless said. */
  readonly addsOverLanes?: boolean;
  readonly numbers: WgslNumbers;
  readonly formulas?: WgslFormulas;
  /** Workgroups. */
  readonly tiles: TileCount;
  readonly flops: number;
  readonly because?: string;
}

const nothing: WgslFormulas = { kind: "none" };

export const isScalar = ({ type }: PlannedTensor): boolean => type.dims.length === 0;

export function launchWgsl(planner: NodePlanner, launch: WgslLaunch): void {
  planner.launches.push(wgslLaunch(planner, launch));
}

/** What launches of one kernel differ in: ranges of the same tensors, and numbers. */
export type WgslGiven = Pick<WgslLaunch, "operands" | "counts">;

/** Several launches of one kernel, which is asked for once: large weights have hundreds of pieces. */
export function launchWgslEach(
  planner: NodePlanner,
  launch: Omit<WgslLaunch, keyof WgslGiven>,
  all: WgslGiven[],
): void {
  const first = wgslLaunch(planner, { ...launch, ...all[0] });
  planner.launches.push(first);
  for (const given of all.slice(1)) {
    planner.launches.push({ ...first, operands: operandsOf(given).operands });
  }
}

/** A launch that is not, or not yet, one of the planner's node. */
export function wgslLaunch(planner: NodePlanner, launch: WgslLaunch): Launch {
  const { bindings, scalars, operands } = operandsOf(launch);
  const use: Use = { ...planner.use, ...(launch.because === undefined ? {} : { because: launch.because }) };
  return {
    kernel: kernelOf(planner, launch, bindings, scalars),
    operands,
    tiles: launch.tiles,
    use,
    flops: launch.flops,
  };
}

interface WgslOperands {
  readonly bindings: readonly WgslBinding[];
  readonly scalars: readonly WgslOperand[];
  readonly operands: readonly Operand[];
}

/** Tensors are bindings; counts, and where scalars stand, are words behind them. */
function operandsOf({ operands, counts }: WgslGiven): WgslOperands {
  const scalars = operands.filter(({ tensor }) => isScalar(tensor));
  const { bindings, operands: bound } = bindingsOf(operands.filter(({ tensor }) => !isScalar(tensor)));
  const words: Operand[] = [
    ...counts.map(({ count }): Operand => ({ kind: "count", count })),
    ...scalars.map(({ tensor, access }): Operand => ({ kind: "scalar", tensor, access })),
  ];
  const all = [...bound, ...(scalars.length > 0 ? [{ kind: "scalars" } as const] : []), ...words];
  return { bindings, scalars, operands: all };
}

/** Each tensor once: a later operand that is the same memory is read and written through the first one's binding. */
function bindingsOf(operands: readonly WgslOperand[]): { bindings: WgslBinding[]; operands: Operand[] } {
  const bindings: WgslBinding[] = [];
  const bound: { readonly operand: WgslOperand; access: Access }[] = [];
  for (const operand of operands) {
    const { name, tensor, uses, access, offset = 0 } = operand;
    invariant(offset % 256 === 0, `${tensor.name} is bound ${offset} bytes behind its start`);
    const same = bound.find((b) => b.operand.tensor === tensor && (b.operand.offset ?? 0) === offset);
    bindings.push({ name, dtype: tensor.type.dtype, uses, sameAs: same?.operand.name });
    if (same === undefined) bound.push({ operand, access });
    else if (same.access !== access) same.access = "update";
  }
  return {
    bindings,
    operands: bound.map(({ operand: { tensor, offset = 0, bytes }, access }) => {
      return { kind: "tensor", tensor, access, offset, ...(bytes === undefined ? {} : { bytes }) };
    }),
  };
}

function kernelOf(
  planner: NodePlanner,
  launch: WgslLaunch,
  bindings: readonly WgslBinding[],
  scalars: readonly WgslOperand[],
): WgslKernel {
  const { template, said, tile, counts, threads, numbers, formulas = nothing } = launch;
  const { addsOverThreads = false, addsOverLanes = false } = launch;
  const names = { scalars: scalars.map(({ name }) => name), counts: counts.map(({ name }) => name) };
  const name = typeof said === "string" ? said : said.name;
  const facts = JSON.stringify([template, name, tile, bindings, names, threads, numbers]);
  return planner.kernels.get<WgslKernel>([planner.label, facts, ...formulaParts(formulas)], () => ({
    target: "wgsl",
    template,
    facts: factsOf(planner, launch),
    bindings,
    ...names,
    threads,
    addsOverThreads,
    addsOverLanes,
    numbers,
    formulas,
  }));
}

/** What of formulas tells kernels apart: the formulas themselves count by identity. */
function formulaParts(formulas: WgslFormulas): (string | object)[] {
  switch (formulas.kind) {
    case "none":
      return [];
    case "rows": {
      const { plan, ...numbers } = formulas.rows;
      return [plan, JSON.stringify(numbers)];
    }
    case "pairs": {
      const { score, mask, ...numbers } = formulas.pairs;
      return [score, mask, JSON.stringify(numbers)];
    }
    case "heads":
      return [JSON.stringify(formulas.vectors)];
    case "functions":
      return formulas.functions.flatMap(({ name, formula }) => [name, formula]);
  }
}

function factsOf(planner: NodePlanner, { said, operands, counts, tile }: WgslLaunch): KernelFacts {
  const listed = [
    ...operands.map(({ name, tensor }) => ({ name, tensor })),
    ...counts.map(({ name, what }) => ({ name, description: `u32, ${what} of this run` })),
  ];
  return typeof said === "string" ? planner.facts(said, listed, tile) : kernelFacts(said, listed, tile);
}
