// The gradients of a whole model, as differentiate builds them, against central differences in f64.

import { expect, it } from "vitest";
import { buildPrograms } from "../../compiler/compile.ts";
import { Oracle } from "../../compiler/oracle.ts";
import { specOf } from "../language/spec-text.ts";
import { generator } from "../ops/case-parts.ts";
import { randomWeights } from "./whole-model.ts";

/** PyTorch's gradcheck defaults. */
const [eps, atol, rtol] = [1e-6, 1e-5, 1e-3];

const spec = `mspec: 1
name: whole
formulas: { bump: "exp(-x * x)" }
model:
  vocab: 11
  context: 7
  width: 6
  layers: 2
  tie_embeddings: TIE
  attention:
    - { kind: gqa, heads: 2, kv_heads: 1, head_dim: 4, score: "3 * tanh(s / 3) - 0.1 * (head + 1) * (q - k)", mask: "k <= q && same_document && q - k < 4" }
    - { layers: "1", kind: gqa, heads: 2, kv_heads: 2, head_dim: 4, rope: { layout: interleaved } }
  ffn: { kind: dense, intermediate: 5, activation: "silu(gate) * up + 0.5 * bump(up)" }
train:
  sequence: 7
  batch: { sequences: 2 }
  steps: 1
  lr: 1e-3
`;

it.each(["true", "false"])("gradients of all parameters equal central differences, tied embeddings %s", (tie) => {
  const programs = buildPrograms(specOf(spec.replace("TIE", tie)));
  const graphOf = (name: string) => {
    const graph = programs.graphs.find((candidate) => candidate.name === name);
    if (graph === undefined) throw new Error(`no graph ${name}`);
    return graph;
  };
  const random = generator(3);
  const weights = randomWeights(programs, random);
  const targets = Array.from({ length: 14 }, (_, i) => (i % 5 === 3 ? -1 : (7 * i + 2) % 11));
  const inputs: Readonly<Record<string, readonly number[]>> = {
    tokens: Array.from({ length: 14 }, (_, i) => (5 * i + 1) % 11),
    targets,
    documents: Array.from({ length: 14 }, (_, i) => Math.floor(i / 5)),
    positions: Array.from({ length: 14 }, (_, i) => i % 7),
    "step.first": [1],
    "step.never": [0],
    "step.inverse_targets": [1 / targets.filter((target) => target >= 0).length],
  };
  const oracle = new Oracle({ rounds: false });
  for (const [name, data] of Object.entries(inputs)) oracle.set(name, data);
  for (const [name, data] of weights) oracle.set(name, data);
  oracle.run(graphOf("micro_step"));
  const evaluate = graphOf("evaluate");
  const loss = (): number => (oracle.run(evaluate).get("loss")?.[0] ?? Number.NaN) * inputs["step.inverse_targets"][0];
  let compared = 0;
  for (const name of weights.keys()) {
    const gradient = Float64Array.from(oracle.get(`gradient.${name}`));
    const values = oracle.get(name);
    values.forEach((value, i) => {
      values[i] = value + eps;
      const above = loss();
      values[i] = value - eps;
      const below = loss();
      values[i] = value;
      const numeric = (above - below) / (2 * eps);
      const tolerance = atol + rtol * Math.abs(numeric);
      expect(Math.abs(gradient[i] - numeric), `${name}[${i}]: ${gradient[i]}, ${numeric}`).toBeLessThanOrEqual(
        tolerance,
      );
      compared++;
    });
  }
  // 2 layers of norms 12, q 48, out 48, gate, up and down 90; k and v 24 each and 48 each; final norm 6, embedding 66.
  expect(compared).toBe(2 * (12 + 48 + 48 + 90) + 48 + 96 + 6 + 66 + (tie === "true" ? 0 : 66));
});
