// The text of `mspec explain`: facts and notes by operation, layers that have the same ones told once.

import type { Build } from "../compile.ts";
import type { Node } from "../graph/graph.ts";
import { printShapes } from "../graph/print.ts";
import { tensorBytes } from "../kernels/plan-memory.ts";
import { opOf } from "../ops/index.ts";
import { size } from "../source/messages/device.ts";
import { rangeOf } from "../spec/ranges.ts";
import { matches, type Operation, type Selector } from "../spec/selector.ts";

/** Lines about one path, by topic, in the order in which they were found; each line once. */
class Account {
  readonly classes = new Set<string>();
  readonly #lines = new Map<string, Set<string>>();

  add(topic: string, line: string): void {
    const lines = this.#lines.get(topic);
    if (lines === undefined) this.#lines.set(topic, new Set([line]));
    else lines.add(line);
  }

  get text(): string {
    const lines = [...this.#lines].flatMap(([topic, own]) => [...own].map((line) => `  ${topic.padEnd(9)}  ${line}`));
    return lines.join("\n");
  }
}

/** Every path that has an account, with its classes. */
export function operationsOf(build: Build, counts: ReadonlyMap<string, number>): Operation[] {
  return [...accountsOf(build, undefined, counts)].map(([path, { classes }]) => ({
    path,
    classes: [...classes],
    counts,
  }));
}

export function explanation(build: Build, selector: Selector | undefined, counts: ReadonlyMap<string, number>): string {
  const accounts = [...accountsOf(build, selector, counts)].filter(([, account]) => account.text !== "");
  const blocks = groups(accounts.map(([path, account]) => ({ path, text: account.text })));
  if (selector === undefined) blocks.push(arenas(build));
  return blocks.join("\n\n");
}

function accountsOf(
  { programs, plan, notes }: Build,
  selector: Selector | undefined,
  counts: ReadonlyMap<string, number>,
): Map<string, Account> {
  const accounts = new Map<string, Account>();
  const classesOf = new Map<string, readonly string[]>();
  const isAsked = (path: string, direction?: Node["direction"]) =>
    selector === undefined || matches(selector, { path, classes: classesOf.get(path) ?? [], counts }, direction);
  const accountOf = (path: string): Account => {
    const account = accounts.get(path) ?? new Account();
    accounts.set(path, account);
    return account;
  };
  for (const graph of programs.graphs) {
    for (const node of graph.nodes) {
      classesOf.set(node.path, node.classes);
      if (!isAsked(node.path, node.direction)) continue;
      const account = accountOf(node.path);
      for (const name of node.classes) account.classes.add(name);
      account.add("computes", `${graph.name} ${node.direction} ${node.op}: ${printShapes(node)}`);
      account.add("formula", `${opOf(node).formula(node)}, from ${node.key}`);
    }
  }
  for (const { path, direction, topic, sentence } of notes) {
    if (isAsked(path, direction)) accountOf(path).add(topic, sentence);
  }
  for (const program of plan.programs) {
    for (const { kernel, use } of program.waves.flat()) {
      if (isAsked(use.path, use.direction))
        accountOf(use.path).add("tile", `${kernel.facts.name}: ${kernel.facts.tile}`);
    }
    for (const { tensor, offset } of program.transient) {
      const path = [...accounts.keys()].find((own) => tensor.name.startsWith(`${own}.`));
      if (path === undefined) continue;
      accountOf(path).add("memory", `${program.name} ${tensor.name}: ${size(tensorBytes(tensor))} at ${offset}`);
    }
  }
  return accounts;
}

/** Paths that differ in one index and in nothing that is told about them become one, such as `layers[0..3].ffn.up`. */
function groups(accounts: readonly { readonly path: string; readonly text: string }[]): string[] {
  const found = new Map<
    string,
    { readonly first: string; readonly pattern: string; body: string; indices: number[] }
  >();
  for (const { path, text } of accounts) {
    const [whole, name, index] = /^(\w+)\[(\d+)\]/.exec(path) ?? [];
    if (whole === undefined) {
      found.set(path, { first: `${path}\n${text}`, pattern: path, body: text, indices: [] });
      continue;
    }
    const pattern = `${name}[*]${path.slice(whole.length)}`;
    const body = text.replaceAll(whole, `${name}[*]`).replaceAll(`${name}.${index}.`, `${name}.*.`);
    const key = `${pattern}\n${body.replace(/ at \d+$/gm, "")}`;
    const group = found.get(key) ?? { first: `${path}\n${text}`, pattern, body, indices: [] };
    group.indices.push(Number(index));
    found.set(key, group);
  }
  return [...found.values()].map(({ first, pattern, body, indices }) => {
    if (indices.length < 2) return first;
    return `${pattern.replace("[*]", `[${rangeOf(indices.toSorted((a, b) => a - b))}]`)}\n${body.replace(/ at \d+$/gm, "")}`;
  });
}

function arenas({ plan }: Build): string {
  const lines = [...plan.arenaBytes].map(([name, bytes]) => `  ${name.padEnd(11)}  ${size(bytes)}`);
  return ["memory by class", ...lines].join("\n");
}
