// Cuts a lowered formula into phases: each is one pass over the row that computes every reduction and every output
// whose arguments are known by then. Element values are computed again in each phase, unless they are stashed.

import { invariant } from "../source/diagnostic.ts";
import type { Formula } from "./formula.ts";
import { type LoweredFormula, lowerFormula, type Operation, type OperationName, operationsBelow } from "./lower.ts";
import { LANE, ROW } from "./terms.ts";

export interface Store {
  readonly name: string;
  readonly operation: Operation;
}

export interface Phase {
  /** Values of the whole row (or of all rows) that this phase's loop or stores read, to be computed before the loop. */
  readonly rowValues: readonly Operation[];
  /** What the loop computes per element, arguments first; includes loads. */
  readonly loop: readonly Operation[];
  /** Sums and maxima along the row that are complete after the loop. */
  readonly reductions: readonly Operation[];
  /** Outputs with a value per element. */
  readonly elementStores: readonly Store[];
  /** Outputs summed over the rows; `operation` is the sum. */
  readonly columnSums: readonly Store[];
  /** Outputs with a value per row, stored before the loop. */
  readonly rowStores: readonly Store[];
  /** Element values that a later phase reads again instead of computing them. */
  readonly stashed: readonly Operation[];
  readonly unstashed: readonly Operation[];
}

export interface PhasePlan {
  readonly phases: readonly Phase[];
  readonly names: ReadonlyMap<Operation, string>;
  /** Stashed values in order: index → slot of the row scratch. */
  readonly stash: readonly Operation[];
}

const transcendental: ReadonlySet<OperationName> = new Set<OperationName>([
  "exp",
  "log",
  "tanh",
  "sigmoid",
  "softplus",
  "erf",
]);

const planned = new WeakMap<Formula, PhasePlan>();
const plannedWithoutStash = new WeakMap<Formula, PhasePlan>();

/** Lowers a formula and cuts it into phases; layers share formulas, so each is planned once. */
export function phasesOf(formula: Formula): PhasePlan {
  let plan = planned.get(formula);
  if (plan === undefined) {
    plan = planPhases(lowerFormula(formula));
    planned.set(formula, plan);
  }
  return plan;
}

/** The phases where a thread has no memory for a row of values: all of them are computed again. */
export function phasesWithoutStash(formula: Formula): PhasePlan {
  const known = plannedWithoutStash.get(formula);
  const plan = known ?? planPhases(lowerFormula(formula), () => new Map());
  plannedWithoutStash.set(formula, plan);
  return plan;
}

function planPhases(lowered: LoweredFormula, stashOf = chooseStash): PhasePlan {
  const all = operationsBelow(lowered.outputs.map((o) => o.operation));
  const levels = levelsOf(all);
  const level = (operation: Operation): number => levels.get(operation) ?? 0;
  const count = Math.max(...all.map(level)) + 1;
  const drafts = Array.from({ length: count }, (_, p) => draftPhase(p, lowered, all, level));
  const stash = stashOf(drafts);
  const phases: Phase[] = [];
  for (const draft of drafts) {
    const isWork = draft.loop.length + draft.rowStores.length + draft.rowValues.length > 0;
    if (isWork) phases.push(withStash(draft, stash, drafts.indexOf(draft), drafts));
  }
  return { phases, names: lowered.names, stash: [...stash.keys()] };
}

/** How many reductions along the row must be complete before an operation can be computed. */
function levelsOf(all: readonly Operation[]): Map<Operation, number> {
  const levels = new Map<Operation, number>();
  for (const operation of all) {
    const below = Math.max(0, ...operation.args.map((arg) => levels.get(arg) ?? 0));
    const isRowReduction = isReduction(operation) && operation.axis === LANE;
    levels.set(operation, below + (isRowReduction ? 1 : 0));
  }
  return levels;
}

const isReduction = (operation: Operation): boolean => operation.op === "sum" || operation.op === "maximum";

type Draft = Omit<Phase, "stashed" | "unstashed">;

function draftPhase(
  p: number,
  lowered: LoweredFormula,
  all: readonly Operation[],
  level: (operation: Operation) => number,
): Draft {
  const reductions = all.filter((o) => isReduction(o) && o.axis === LANE && level(o.args[0]) === p);
  const elementStores: Store[] = [];
  const columnSums: Store[] = [];
  const rowStores: Store[] = [];
  for (const { name, operation, extent } of lowered.outputs) {
    const store = { name, operation };
    if (isReduction(operation) && operation.axis === ROW) {
      if (level(operation.args[0]) === p) columnSums.push(store);
    } else if (level(operation) === p) {
      if ((extent & LANE) !== 0) elementStores.push(store);
      else rowStores.push(store);
    }
  }
  const roots = [
    ...reductions.map((r) => r.args[0]),
    ...elementStores.map((s) => s.operation),
    ...columnSums.map((s) => s.operation.args[0]),
  ];
  const loop = operationsBelow(roots, (o) => (o.extent & LANE) === 0);
  for (const operation of all) {
    const isColumn = isReduction(operation) && operation.axis === ROW;
    invariant(!isColumn || lowered.outputs.some((o) => o.operation === operation), "a sum over rows must be an output");
  }
  const rowValues = all.filter((o) => (o.extent & LANE) === 0 && !isReduction(o) && level(o) === p);
  return { rowValues, loop, reductions, elementStores, columnSums, rowStores };
}

/** Stashes what contains a transcendental and is needed again later: an exponential costs more than a load. */
function chooseStash(drafts: readonly Draft[]): Map<Operation, number> {
  const stash = new Map<Operation, number>();
  drafts.forEach((draft, p) => {
    const later = new Set(drafts.slice(p + 1).flatMap((d) => d.loop));
    for (const operation of draft.loop) {
      if (transcendental.has(operation.op) && later.has(operation) && !stash.has(operation)) stash.set(operation, p);
    }
  });
  return stash;
}

function withStash(draft: Draft, stash: ReadonlyMap<Operation, number>, p: number, drafts: readonly Draft[]): Phase {
  const isStashedBefore = (o: Operation) => (stash.get(o) ?? p) < p;
  const roots = [
    ...draft.reductions.map((r) => r.args[0]),
    ...draft.elementStores.map((s) => s.operation),
    ...draft.columnSums.map((s) => s.operation.args[0]),
  ];
  const loop = operationsBelow(roots, (o) => (o.extent & LANE) === 0 || isStashedBefore(o));
  const unstashed = draft.loop.filter(isStashedBefore).filter((o) => isReadBy(o, loop, roots));
  const stashed = loop.filter((o) => stash.get(o) === p && drafts.slice(p + 1).some((d) => d.loop.includes(o)));
  return { ...draft, loop, stashed, unstashed };
}

function isReadBy(operation: Operation, loop: readonly Operation[], roots: readonly Operation[]): boolean {
  return roots.includes(operation) || loop.some((o) => o.args.includes(operation));
}
