// Which operations a rule is about: a parsed selector and its test against operation paths.

import { parseSelector } from "../formula/parse.ts";
import type { SelectorPathSyntax, SelectorStepSyntax, SelectorSyntax } from "../formula/syntax.ts";
import type { Direction as NodeDirection } from "../graph/graph.ts";
import type { Diagnostics } from "../source/diagnostic.ts";
import * as say from "../source/messages/rule.ts";
import type { ExpressionText, Place } from "../source/text.ts";
import { isInRange } from "./ranges.ts";

/** The directions that selectors name: those of a model's operations. */
export type Direction = Exclude<NodeDirection, "update">;

/** What a selector is tested against. */
export interface Operation {
  /** Such as `layers[3].attention.q`. */
  readonly path: string;
  /** Classes of docs/language.md that are no step of the path: linear, norm, activation. */
  readonly classes: readonly string[];
  /** How many of what the path indexes there are, by step name (`layers` → 61): negative indices count from it. */
  readonly counts: ReadonlyMap<string, number>;
}

export interface Selector {
  /** Without a direction at its end. A path without steps is every operation. */
  readonly syntax: SelectorSyntax;
  readonly place: Place;
  /** The directions a last part named, or undefined for all. */
  readonly directions: readonly Direction[] | undefined;
}

const directionNames: ReadonlySet<string> = new Set<Direction>(["fprop", "dgrad", "wgrad"]);

/** Classes that stand for operations wherever they are; in a longer path only these two are no step's name. */
const everywhere: ReadonlySet<string> = new Set(["all", "linear"]);

/** Reads a selector; `directions` says whether the rule distinguishes fprop, dgrad and wgrad. */
export function readSelector(
  text: ExpressionText,
  directions: "with directions" | "without directions",
  diagnostics: Diagnostics,
): Selector | undefined {
  const syntax = parseSelector(text, diagnostics);
  if (syntax === undefined) return undefined;
  const place = text.place(syntax.span);
  const found = syntax.alternatives.map(directionsOf);
  const named = found.find((names) => names !== undefined);
  if (named === undefined) return { syntax, place, directions: undefined };
  if (directions === "without directions") {
    diagnostics.add(say.directionHere(named[0], place));
    return undefined;
  }
  if (found.some((names) => names?.join() !== named.join())) {
    diagnostics.add(say.mixedDirections(place));
    return undefined;
  }
  const alternatives = syntax.alternatives.map((path) => ({ ...path, steps: path.steps.slice(0, -1) }));
  return { syntax: { ...syntax, alternatives }, place, directions: named };
}

/** The directions that the last step of a path names. */
function directionsOf({ steps }: SelectorPathSyntax): Direction[] | undefined {
  const last = steps.at(-1);
  if (last?.names === undefined || last.range !== undefined) return undefined;
  const names = last.names.filter((name): name is Direction => directionNames.has(name));
  return names.length === last.names.length ? names : undefined;
}

/** A selector for every operation, such as a recipe's rule has. */
export function everyOperation(place: Place): Selector {
  const span = { start: 0, end: 3 };
  const step: SelectorStepSyntax = { names: ["all"], deep: false, range: undefined, span };
  return { syntax: { alternatives: [{ steps: [step], span }], span }, place, directions: undefined };
}

/** Whether a rule with this selector is about an operation, and about a direction if one is given. */
export function matches(selector: Selector, operation: Operation, direction?: NodeDirection): boolean {
  const { directions } = selector;
  if (direction !== undefined && directions !== undefined && !directions.some((own) => own === direction)) return false;
  const path = pathSteps(operation.path);
  return selector.syntax.alternatives.some(({ steps }) => matchesSteps(steps, path, operation));
}

interface PathStep {
  readonly name: string;
  readonly index: number | undefined;
}

function pathSteps(path: string): PathStep[] {
  return path.split(".").map((step) => {
    const [, name, index] = /^([^[]*)(?:\[(\d+)\])?$/.exec(step) ?? [undefined, step];
    return { name: name ?? step, index: index === undefined ? undefined : Number(index) };
  });
}

function matchesSteps(steps: readonly SelectorStepSyntax[], path: readonly PathStep[], operation: Operation): boolean {
  if (steps.length === 0) return true;
  if (isWithin(steps, path, operation)) return true;
  const last = steps[steps.length - 1];
  if (last.names === undefined || last.range !== undefined) return false;
  const before = steps.slice(0, -1);
  const isOfClass = last.names.some(
    (name) => name === "all" || (operation.classes.includes(name) && (before.length === 0 || everywhere.has(name))),
  );
  return isOfClass && (before.length === 0 || isWithin(before, path, operation));
}

/** Whether the steps name the operation or something that it lies below; they may begin anywhere. */
function isWithin(steps: readonly SelectorStepSyntax[], path: readonly PathStep[], operation: Operation): boolean {
  return path.some((_, start) => startsWith(steps, path, start, operation.counts));
}

function startsWith(
  steps: readonly SelectorStepSyntax[],
  path: readonly PathStep[],
  start: number,
  counts: Operation["counts"],
): boolean {
  const [step, ...rest] = steps;
  if (step === undefined) return true;
  // Two `**` in a row say what one says; skipping one keeps the search short.
  if (step.deep && rest[0]?.deep) return startsWith(rest, path, start, counts);
  if (step.deep)
    return rest.length === 0 || path.some((_, next) => next >= start && startsWith(rest, path, next, counts));
  return start < path.length && matchesStep(step, path[start], counts) && startsWith(rest, path, start + 1, counts);
}

function matchesStep(
  { names, range }: SelectorStepSyntax,
  { name, index }: PathStep,
  counts: Operation["counts"],
): boolean {
  if (names !== undefined && !names.includes(name)) return false;
  if (range === undefined) return true;
  return index !== undefined && isInRange(range, index, counts.get(name) ?? index + 1);
}
