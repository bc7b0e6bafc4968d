// Which operations a selector is about, and what is told when the operations are known.

import { describe, expect, test } from "vitest";
import { Diagnostics } from "../../compiler/source/diagnostic.ts";
import { standaloneExpression } from "../../compiler/source/text.ts";
import { type Direction, matches, type Operation, readSelector, type Selector } from "../../compiler/spec/selector.ts";
import { type SelectorRule, selectorProblems } from "../../compiler/spec/selector-problems.ts";

const counts = new Map([["layers", 3]]);
const classesOf: Record<string, string[]> = {
  embedding: [],
  final_norm: ["norm"],
  head: ["linear"],
  "attention.norm": ["norm"],
  "attention.q": ["linear"],
  "attention.q_norm": ["norm"],
  "attention.out": ["linear"],
  "ffn.activation": ["activation"],
  "ffn.down": ["linear"],
};

/** Operations of a model of three layers. */
const operations: Operation[] = Object.entries(classesOf).flatMap(([name, classes]) => {
  if (!name.includes(".")) return [{ path: name, classes, counts }];
  return [0, 1, 2].map((layer) => ({ path: `layers[${layer}].${name}`, classes, counts }));
});

function selector(text: string): Selector {
  const diagnostics = new Diagnostics();
  const read = readSelector(standaloneExpression("test", text), "with directions", diagnostics);
  if (read === undefined) throw new Error(diagnostics.all.map(({ claim }) => claim).join());
  return read;
}

function matched(text: string, direction?: Direction): string[] {
  return operations.filter((operation) => matches(selector(text), operation, direction)).map(({ path }) => path);
}

test.each([
  ["embedding", ["embedding"]],
  ["out", ["layers[0].attention.out", "layers[1].attention.out", "layers[2].attention.out"]],
  [
    "layers[1].attention",
    ["layers[1].attention.norm", "layers[1].attention.q", "layers[1].attention.q_norm", "layers[1].attention.out"],
  ],
  ["layers[-1].ffn.down", ["layers[2].ffn.down"]],
  [
    "layers[..0].ffn, layers[-1..].ffn",
    ["layers[0].ffn.activation", "layers[0].ffn.down", "layers[2].ffn.activation", "layers[2].ffn.down"].sort(),
  ],
  ["layers[0.. by 2].ffn.down", ["layers[0].ffn.down", "layers[2].ffn.down"]],
  ["layers[0,2].ffn.down", ["layers[0].ffn.down", "layers[2].ffn.down"]],
  ["layers[0].{attention,ffn}.{q,down}", ["layers[0].attention.q", "layers[0].ffn.down"]],
  ["layers[0].*.norm", ["layers[0].attention.norm"]],
  ["layers[0].**.down", ["layers[0].ffn.down"]],
  ["**.**.head", ["head"]],
  ["layers[0].linear", ["layers[0].attention.q", "layers[0].attention.out", "layers[0].ffn.down"]],
  ["layers[0].attention.norm", ["layers[0].attention.norm"]],
  ["head.linear", ["head"]],
  ["head[0]", []],
  ["layers[7]", []],
  ["attention.layers", []],
  ["q.attention", []],
])("%s", (text, paths) => {
  expect(matched(text).sort()).toEqual([...paths].sort());
});

test("many `**` take no longer than one", () => {
  const began = performance.now();
  expect(matched(`${"**.".repeat(500)}nothing`)).toEqual([]);
  expect(matched(`${"**.*.".repeat(3)}down`)).toEqual([]);
  expect(performance.now() - began).toBeLessThan(200);
});

test("classes match wherever their operations are", () => {
  expect(matched("all")).toHaveLength(operations.length);
  expect(matched("linear")).toHaveLength(10);
  expect(matched("norm")).toHaveLength(7);
  expect(matched("activation")).toHaveLength(3);
  expect(matched("{norm,activation}")).toHaveLength(10);
});

test("a direction at the end limits a rule to it", () => {
  expect(matched("head.wgrad", "wgrad")).toEqual(["head"]);
  expect(matched("head.wgrad", "fprop")).toEqual([]);
  expect(matched("head.{fprop,dgrad}", "dgrad")).toEqual(["head"]);
  expect(matched("head", "dgrad")).toEqual(["head"]);
  expect(matched("wgrad", "wgrad")).toHaveLength(operations.length);
});

test.each([
  ["head.wgrad", "without directions", "selector/direction"],
  ["head.wgrad, embedding.fprop", "with directions", "selector/mixed-directions"],
  ["head.wgrad, embedding", "with directions", "selector/mixed-directions"],
] as const)("%s %s is refused", (text, directions, code) => {
  const diagnostics = new Diagnostics();
  expect(readSelector(standaloneExpression("test", text), directions, diagnostics)).toBeUndefined();
  expect(diagnostics.all.map((diagnostic) => diagnostic.code)).toEqual([code]);
});

describe("rules against the operations", () => {
  const rule = (text: string, isTotal = true): SelectorRule => ({
    selector: selector(text),
    key: `rule ${text}`,
    isTotal,
  });
  const problems = (...rules: SelectorRule[]) =>
    selectorProblems(rules, operations).map(({ code, severity, claim, help }) => ({ code, severity, claim, help }));

  test("a selector that matches nothing is an error with the nearest paths", () => {
    expect(problems(rule("attention.kv"), rule("layers[9].ffn"), rule("linaer"))).toEqual([
      {
        code: "selector/matches-nothing",
        severity: "error",
        claim: "`attention.kv` in rule attention.kv matches no operation",
        help: "nearest: `attention.q`, `attention` or `attention.out`",
      },
      {
        code: "selector/matches-nothing",
        severity: "error",
        claim: "`layers[9].ffn` in rule layers[9].ffn names none of the layers",
        help: "write `layers[0..2]` or a part of it",
      },
      {
        code: "selector/matches-nothing",
        severity: "error",
        claim: "`linaer` in rule linaer matches no operation",
        help: "nearest: `linear`",
      },
    ]);
  });

  test("a rule that later ones hide wholly is a warning", () => {
    const codes = problems(rule("head"), rule("attention.q"), rule("attention"), rule("linear"));
    expect(codes.map(({ code, severity, claim }) => `${severity} ${code} ${claim}`)).toEqual([
      "warning selector/shadowed `head` in rule head does nothing",
      "warning selector/shadowed `attention.q` in rule attention.q does nothing",
    ]);
  });

  test("two rules can hide an earlier one together, and a rule that leaves something to earlier ones hides nothing", () => {
    expect(problems(rule("linear"), rule("layers.linear"), rule("head"))).toHaveLength(1);
    expect(problems(rule("linear"), rule("all", false))).toEqual([]);
    expect(problems(rule("linear"), rule("linear.{fprop,dgrad}"))).toEqual([]);
    expect(problems(rule("linear"), rule("linear.{fprop,dgrad}"), rule("linear.wgrad"))).toHaveLength(1);
  });
});
