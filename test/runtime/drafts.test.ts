// Guessing a token ahead changes how often the model is called, and no token.

import { afterAll, beforeAll, expect, it } from "vitest";
import { TokenStreamBuilder } from "../../runtime/data/token-stream.ts";
import type { GenerateOptions, Model } from "../../runtime/model.ts";
import { openTiny } from "./tiny-model.ts";

const spec = `mspec: 1
name: drafting
model:
  vocab: 40
  context: 48
  width: 16
  layers: 2
  attention: { kind: mla, heads: 2, kv_rank: 10, nope_dim: 6, rope_dim: 4, value_dim: 5 }
  ffn: { kind: moe, experts: 5, top_k: 2, intermediate: 8, router: { bias_update: 0.01 } }
  mtp: { depth: 1, weight: 0.5 }
train:
  sequence: 16
  batch: { sequences: 8 }
  steps: 60
  lr: 1e-2
  init: normal(0.2)
  seed: 3
serve: { sequences: 3, tokens: 9, pages: 40, page: 4 }
`;

let model: Model;
let programs: string[] = [];
beforeAll(async () => {
  model = await openTiny(spec, [], { threads: 2 });
  const run = model.device.run.bind(model.device);
  model.device.run = (program, counts) => {
    programs.push(program);
    return run(program, counts);
  };
  // A text that repeats: what comes next, and behind it, can be learnt in a few steps.
  const stream = (length: number) => {
    const builder = new TokenStreamBuilder(undefined);
    builder.add(Int32Array.from({ length }, (_, i) => (i * i) % 7));
    return builder.finish();
  };
  await model.train({ corpus: { train: stream(900), validation: stream(60) } });
});
afterAll(async () => {
  await model.close();
});

const prompts = [[1], [0, 1, 4, 2], Array.from({ length: 21 }, (_, i) => (i * i) % 7)];
const greedy = (prompt: readonly number[], drafts: boolean, maxTokens = 20): GenerateOptions => {
  return { prompt, maxTokens, temperature: 0, drafts };
};

it("greedy text is the same with and without, alone and beside others", async () => {
  const plain = await model.generateAll(prompts.map((prompt) => greedy(prompt, false)));
  const drafted = await model.generateAll(prompts.map((prompt) => greedy(prompt, true)));
  expect(drafted.map(({ tokens }) => [...tokens])).toEqual(plain.map(({ tokens }) => [...tokens]));
  expect(plain.map(({ drafts }) => drafts.made)).toEqual([0, 0, 0]);
  for (const [i, prompt] of prompts.entries()) {
    const { tokens, drafts } = await model.generate(greedy(prompt, true));
    expect([...tokens]).toEqual([...plain[i].tokens]);
    expect(drafts.made).toBeGreaterThan(0);
    expect(drafts.accepted).toBeLessThanOrEqual(drafts.made);
  }
});

it("counts as right what saves a call", async () => {
  for (const maxTokens of [1, 2, 3, 12]) {
    programs = [];
    const { tokens, drafts } = await model.generate(greedy(prompts[1], true, maxTokens));
    expect(tokens.length).toBe(maxTokens);
    const calls = programs.filter((program) => program === "extend").length;
    expect(calls).toBe(maxTokens - drafts.accepted);
  }
  // The text repeats every seven tokens, which sixty steps are enough to learn.
  const { drafts } = await model.generate(greedy(prompts[2], true));
  expect(drafts.accepted / drafts.made).toBeGreaterThan(0.5);
});

it("samples by chance without guessing", async () => {
  const { drafts } = await model.generate({ prompt: prompts[1], maxTokens: 6, temperature: 1, seed: 4 });
  expect(drafts).toEqual({ made: 0, accepted: 0 });
});

it("a guess is the most likely token behind the next one, by the logits of all at once", async () => {
  const text = prompts[2];
  const further = await model.furtherLogits(text);
  expect(further.length).toBe((text.length - 1) * 40);
  // The same in calls of other sizes: the module has a cache of its own.
  const start = await model.furtherLogits(text.slice(0, 5));
  expect([...start]).toEqual([...further.subarray(0, 4 * 40)]);
});
