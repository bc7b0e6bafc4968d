// The formulas of a spec: definitions, their parameters, recursion and depth, and what each place may name.

import { describe, expect, test } from "vitest";
import { evaluateFormula } from "../../compiler/formula/evaluate.ts";
import { SpecFormulas } from "../../compiler/model/formulas.ts";
import { Diagnostics } from "../../compiler/source/diagnostic.ts";
import { readSpecText, smallSpecWith, specFaults, specOf } from "./spec-text.ts";

const withFormulas = (...definitions: string[]) => {
  return smallSpecWith(["model:", `formulas:\n${definitions.map((line) => `  ${line}\n`).join("")}model:`]);
};

describe("activations", () => {
  test.each([
    ["silu(gate) * up", ["gate", "up"]],
    ["up * silu(gate)", ["gate", "up"]],
    ["max(x, 0)^2", ["x"]],
    ["gelu(gate)", ["gate"]],
    ["let a = sigmoid(up); a * gate", ["gate", "up"]],
  ])("%s works on %j", (activation, inputs) => {
    const text = smallSpecWith(["dense,", `dense, activation: "${activation}",`]);
    expect(specOf(text).model.layers[0].ffn.inputs).toEqual(inputs);
  });

  test.each([
    ["gate + x", "9:36 formula/mixed-inputs"],
    ["1 + 2", "9:36 formula/no-input"],
    ["y: gate, z: up", "9:36 formula/several-outputs"],
    ["silu(gat) * up", "9:41 formula/unknown-name"],
    ["slu(gate) * up", "9:36 formula/unknown-function"],
    ["softmax(gate) * up", "9:36 formula/no-row-here"],
    ["gate < up", "9:36 formula/number-expected"],
  ])("%s is refused", (activation, fault) => {
    const text = smallSpecWith(["dense,", `dense, activation: "${activation}",`]);
    expect(specFaults(text)).toEqual([`error ${fault}`]);
  });
});

describe("scores and masks", () => {
  const attention = (key: string, formula: string) => smallSpecWith(["heads: 4", `heads: 4, ${key}: "${formula}"`]);

  test.each([
    ["score", "30 * tanh(s / 30)"],
    ["score", "s - abs(q - k) * 2^-(head + 1)"],
    ["mask", "k <= q && same_document"],
    ["mask", "k <= q && q - k < 4096"],
    ["mask", "!(k > q) || head == 0"],
  ])("%s may be %s", (key, formula) => {
    expect(specFaults(attention(key, formula))).toEqual([]);
  });

  test.each([
    ["score", "s + logit", "8:49 formula/unknown-name"],
    ["score", "k <= q", "8:45 formula/number-expected"],
    ["score", "s * same_document", "8:49 formula/unknown-name"],
    ["mask", "k + q", "8:44 formula/condition-expected"],
    ["mask", "s > 0", "8:44 formula/unknown-name"],
    ["mask", "k <= q && 1", "8:54 formula/condition-expected"],
  ])("%s may not be %s", (key, formula, fault) => {
    expect(specFaults(attention(key, formula))).toEqual([`error ${fault}`]);
  });

  test("an unknown name lists the names that are legal there", () => {
    const [diagnostic] = readSpecText(attention("mask", "kk <= q")).diagnostics;
    expect(diagnostic.label).toBe("legal here: q, k, head, same_document, pi");
  });
});

describe("a router's score is a formula of the row of logits", () => {
  const router = (score: string) =>
    smallSpecWith(["kind: dense,", `kind: moe, experts: 4, top_k: 2, router: { score: "${score}" },`]);

  test.each([
    "softmax(logit)",
    "sigmoid(logit)",
    "sqrt(softplus(logit))",
    "logit - log_sum_exp(logit)",
    "let e = exp(logit - max(logit)); e / sum(e)",
    "logit - mean(logit)",
  ])("%s", (score) => {
    expect(specFaults(router(score))).toEqual([]);
  });

  test.each([
    ["logits", "formula/unknown-name"],
    ["gate", "formula/unknown-name"],
    ["logit > 0", "formula/number-expected"],
    ["y: logit, z: logit", "formula/several-outputs"],
    ["sum(logit)", "formula/same-for-all-experts"],
    ["max(logit) + 1", "formula/same-for-all-experts"],
    ["0.5", "formula/same-for-all-experts"],
    ["logit - logit", "formula/same-for-all-experts"],
  ])("%s is refused", (score, code) => {
    const [first, ...others] = readSpecText(router(score)).diagnostics;
    expect([first.code, first.severity, others]).toEqual([code, "error", []]);
  });

  test("one number for all experts says how to write one for each", () => {
    const [first] = readSpecText(router("sum(logit)")).diagnostics;
    expect(first.claim).toBe("a router's score is a number of each expert, and this is one for all");
    expect(first.help).toContain("`softmax(logit)`");
  });

  /** What the model stage says of a score. */
  const saidOf = (score: string, isTrained = true) => {
    const { ffn } = specOf(router(score)).model.layers[0];
    if (ffn.kind !== "moe") throw new Error("no experts");
    const diagnostics = new Diagnostics();
    const formula = new SpecFormulas(diagnostics, isTrained).router(ffn.router.score, false);
    return { formula, codes: diagnostics.all.map(({ code }) => code) };
  };

  test("it is built with an output for each expert", () => {
    const { formula, codes } = saidOf("softmax(logit)");
    const { inputs, outputs } = formula ?? { inputs: [], outputs: [] };
    const named = (values: readonly { name: string }[]) => values.map(({ name }) => name);
    expect([named(inputs), named(outputs), codes]).toEqual([["logit"], ["score"], []]);
    const row = [0, Math.log(3)];
    const { outputs: values } = evaluateFormula(formula ?? expect.fail(), new Map([["logit", row]]), {
      rows: 1,
      lanes: 2,
    });
    expect([...(values.get("score") ?? [])]).toEqual([expect.closeTo(0.25, 12), expect.closeTo(0.75, 12)]);
  });

  test.each(["softmax(logit)", "sigmoid(logit)", "logit - log_sum_exp(logit)", "softplus(logit - mean(logit))"])(
    "nothing is wrong with the meaning of %s",
    (score) => {
      expect(saidOf(score).codes).toEqual([]);
    },
  );

  test("one that does not learn, or that overflows, is told of", () => {
    expect(saidOf("floor(logit)").codes).toEqual(["formula/no-gradient"]);
    expect(saidOf("floor(logit)", false).codes).toEqual([]);
    expect(saidOf("exp(logit) / sum(exp(logit))").codes).toEqual(["formula/not-a-number"]);
    expect(saidOf("let e = exp(logit - max(logit)); e / sum(e)").codes).toEqual([]);
  });
});

describe("definitions", () => {
  test("free names are parameters in order of first use; `let` and constants are none", () => {
    const text = withFormulas('f: "let t = b * pi; t + a + b"', 'g: "f(x, 2)"', "c: 3");
    const { definitions } = specOf(text).model.layers[0].ffn.activation;
    expect([...definitions.values()].map(({ name, parameters }) => `${name}(${parameters.join()})`)).toEqual([
      "f(b,a)",
      "g(x)",
      "c()",
    ]);
  });

  test("a call of a definition takes as many arguments as it has parameters", () => {
    const text = withFormulas('relu2: "max(x, 0)^2"').replace("dense,", 'dense, activation: "relu2(gate, up)",');
    expect(specFaults(text)).toEqual(["error 11:36 formula/wrong-arity"]);
  });

  test("A21: recursion prints the cycle, once, with all places", () => {
    const text = withFormulas('a: "b(x)"', 'b: "c(x) + 1"', 'c: "a(x)"', 'd: "a(x)"').replace(
      "dense,",
      'dense, activation: "d(gate)",',
    );
    const { diagnostics } = readSpecText(text);
    expect(specFaults(text)).toEqual(["error 4:3 formula/recursion and 5:3 and 6:3"]);
    expect(diagnostics[0].claim).toBe("formulas call each other in a circle: a -> b -> c -> a");
  });

  test("a definition that calls itself is a cycle", () => {
    expect(specFaults(withFormulas('a: "a(x)"'))).toEqual(["error 4:3 formula/recursion"]);
  });

  test("a faulty definition is told once, not again by those who call it", () => {
    const text = withFormulas('a: "1 +"', 'b: "a(x)"', 'c: "nope(x)"').replace(
      "dense,",
      'dense, activation: "b(gate) + c(gate)",',
    );
    expect(specFaults(text)).toEqual(["error 4:10 expression/unexpected", "error 6:7 formula/unknown-function"]);
  });

  test("B1: a chain of 4,000 definitions is refused for its depth, and quickly", () => {
    const chain = Array.from({ length: 4000 }, (_, i) => `f${i}: "f${i + 1}(x)"`);
    const began = performance.now();
    const faults = specFaults(withFormulas(...chain, "f4000: x"));
    expect(faults).toEqual(["error 3748:11 formula/definitions-too-deep"]);
    expect(performance.now() - began).toBeLessThan(2000);
  });

  test("B1: definitions that double each other are refused for their size", () => {
    const doubling = Array.from({ length: 40 }, (_, i) => `f${i}: "f${i + 1}(x) + f${i + 1}(x + 1)"`);
    const text = withFormulas(...doubling, "f40: x").replace("dense,", 'dense, activation: "f0(gate)",');
    const began = performance.now();
    expect(specFaults(text).map((line) => line.split(" ")[2])).toEqual(["formula/too-large"]);
    expect(performance.now() - began).toBeLessThan(2000);
  });
});
