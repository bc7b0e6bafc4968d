// What is wrong with rules once the operations are known: selectors that match nothing, rules that later ones hide.

import { printSelector } from "../formula/print-syntax.ts";
import type { Diagnostic } from "../source/diagnostic.ts";
import * as say from "../source/messages/rule.ts";
import { nearest } from "../source/suggestions.ts";
import { isInRange } from "./ranges.ts";
import { type Direction, matches, type Operation, type Selector } from "./selector.ts";

export interface SelectorRule {
  readonly selector: Selector;
  /** The key path of the rule, such as `precision[0]`. */
  readonly key: string;
  /** The rule sets everything that earlier ones set; a precision rule with `_` does not. */
  readonly isTotal: boolean;
}

const everyDirection: readonly Direction[] = ["fprop", "dgrad", "wgrad"];

/** The faults of one list of rules, of which the last that matches wins, against all operations it may be about. */
export function selectorProblems(
  rules: readonly SelectorRule[],
  operations: readonly Operation[],
  what = "operation",
): Diagnostic[] {
  const problems: Diagnostic[] = [];
  const targets = operations.flatMap((operation) => everyDirection.map((direction) => ({ operation, direction })));
  /** For each target the first of the later rules that hides every earlier one there. */
  const hidden = new Map<(typeof targets)[number], SelectorRule>();
  for (const rule of [...rules].reverse()) {
    const own = targets.filter(({ operation, direction }) => matches(rule.selector, operation, direction));
    if (own.length === 0) problems.push(matchesNothing(rule, operations, what));
    const later = own.map((target) => hidden.get(target));
    if (own.length > 0 && later.every((other) => other !== undefined)) problems.push(shadowed(rule, later, rules));
    if (rule.isTotal) for (const target of own) hidden.set(target, rule);
  }
  return problems.reverse();
}

/** The last rule that is needed to hide all of a rule is where it stopped to matter. */
function shadowed(
  rule: SelectorRule,
  later: readonly (SelectorRule | undefined)[],
  rules: readonly SelectorRule[],
): Diagnostic {
  const last = rules.findLast((other) => later.includes(other)) ?? rule;
  return say.shadowed(rule.key, printSelector(rule.selector.syntax), rule.selector.place, last.selector.place);
}

function matchesNothing({ selector, key }: SelectorRule, operations: readonly Operation[], what: string): Diagnostic {
  const written = printSelector(selector.syntax);
  const [name, count] = indexedBeyond(selector, operations) ?? [];
  if (name !== undefined && count !== undefined) {
    return say.indexMatchesNothing(key, written, name, count, selector.place);
  }
  return say.matchesNothing(key, written, nearestPaths(written, operations), selector.place, what);
}

/** What a range of the selector counts, if no index of that is in the range. */
function indexedBeyond({ syntax }: Selector, operations: readonly Operation[]): readonly [string, number] | undefined {
  const counts = operations[0]?.counts ?? new Map<string, number>();
  for (const { names = [], range } of syntax.alternatives.flatMap(({ steps }) => steps)) {
    for (const name of range === undefined ? [] : names) {
      const count = counts.get(name) ?? 0;
      const isNamed = Array.from({ length: count }, (_, i) => i).some(
        (i) => range !== undefined && isInRange(range, i, count),
      );
      if (count > 0 && !isNamed) return [name, count];
    }
  }
  return undefined;
}

/** Paths and their ends (`attention.q` of `layers[0].attention.q`) that look most like what was written. */
function nearestPaths(written: string, operations: readonly Operation[]): string[] {
  const plain = written.replace(/\[[^\]]*\]/g, "");
  const names = new Set<string>();
  for (const { path, classes } of operations) {
    const steps = path.replace(/\[\d+\]/g, "").split(".");
    for (let start = 0; start < steps.length; start++) {
      for (let end = start + 1; end <= steps.length; end++) names.add(steps.slice(start, end).join("."));
    }
    for (const name of classes) names.add(name);
  }
  const close = nearest(plain, names, 3);
  // A range that no index satisfies has the right path already.
  return names.has(plain) ? [plain] : close;
}
