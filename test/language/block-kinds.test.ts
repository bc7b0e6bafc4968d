// Kinds of blocks: which keys each has, what is said of the others, and how entries of a list replace each other.

import { describe, expect, test } from "vitest";
import type { Diagnostic } from "../../compiler/source/diagnostic.ts";
import { readSpecText, smallSpecWith, specFaults, specOf } from "./spec-text.ts";

const attentionOf = (value: string) => smallSpecWith(["{ kind: gqa, heads: 4 }", value]);
const ffnOf = (value: string) => smallSpecWith(["{ kind: dense, intermediate: 96 }", value]);

const mla = "kind: mla, heads: 4, kv_rank: 8, nope_dim: 6, rope_dim: 4, value_dim: 5";
const moe = "kind: moe, intermediate: 96, experts: 6, top_k: 2";

/** What the caret stands under. */
const under = ({ place }: Diagnostic) => place?.source.text.slice(place.span.start, place.span.end);

describe("a key of another kind is refused, not ignored", () => {
  test.each([
    [attentionOf(`{ ${mla}, kv_heads: 2 }`), "kv_heads", "model.attention", "gqa", "mla"],
    [attentionOf(`{ ${mla}, rope: { dim: 4 } }`), "dim", "model.attention.rope", "gqa", "mla"],
    [attentionOf("{ kind: gqa, heads: 4, q_rank: 2 }"), "q_rank", "model.attention", "mla", "gqa"],
    [ffnOf("{ kind: dense, intermediate: 9, top_k: 2 }"), "top_k", "model.ffn", "moe", "dense"],
    [ffnOf("[{ kind: dense, intermediate: 9, top_k: 2 }]"), "top_k", "model.ffn", "moe", "dense"],
  ])("%#", (text, key, path, owner, kind) => {
    const [first, ...others] = readSpecText(text).diagnostics;
    expect([first.code, first.severity, under(first)]).toEqual(["key/other-kind", "error", key]);
    expect(first.claim).toBe(
      `\`${key}\` is a key of ${path} where the kind is \`${owner}\`, and here it is \`${kind}\``,
    );
    expect([first.help, others]).toEqual([`leave it out, or write \`kind: ${owner}\``, []]);
  });

  test("what others call it is told with the kind that it needs", () => {
    const [first] = readSpecText(ffnOf("{ kind: dense, intermediate: 9, n_routed_experts: 2 }")).diagnostics;
    expect(first.help).toBe("here it is called `experts`, and it needs `kind: moe`");
  });

  test("a slip of the finger is compared with the keys of its kind only", () => {
    const [first] = readSpecText(attentionOf(`{ ${mla}, head_dims: 8 }`)).diagnostics;
    expect([first.code, first.help]).toEqual(["key/unknown", "did you mean `value_dim`?"]);
  });

  test("each kind has its own keys that must be given", () => {
    const claims = (text: string) => readSpecText(text).diagnostics.map(({ claim }) => claim);
    expect(claims(attentionOf("{ kind: mla, heads: 4, kv_rank: 8 }"))).toEqual([
      "model.attention needs the keys `nope_dim`, `rope_dim` and `value_dim`",
    ]);
    expect(claims(ffnOf("{ kind: moe, intermediate: 4 }"))).toEqual(["model.ffn needs the keys `experts` and `top_k`"]);
    expect(claims(attentionOf("{ heads: 4 }"))).toEqual(["model.attention needs the key `kind`"]);
  });
});

test.each([
  ["hidden_size: 48", "width"],
  ["num_nextn_predict_layers: 1", "mtp.depth"],
  ["num_local_experts: 8", "ffn.experts"],
  ["num_experts_per_tok: 8", "ffn.top_k"],
  ["moe_intermediate_size: 8", "ffn.intermediate"],
  ["n_shared_experts: 1", "ffn.shared"],
  ["routed_scaling_factor: 2.5", "ffn.router.scale"],
  ["n_group: 8", "ffn.router.groups.count"],
  ["topk_group: 4", "ffn.router.groups.keep"],
  ["norm_topk_prob: true", "ffn.router.normalize"],
  ["scoring_func: sigmoid", "ffn.router.score"],
  ["router_aux_loss_coef: 1e-3", "ffn.router.losses.batch"],
  ["router_z_loss_coef: 1e-3", "ffn.router.losses.z"],
  ["moe_router_bias_update_rate: 1e-3", "ffn.router.bias_update"],
  ["q_lora_rank: 4", "attention.q_rank"],
  ["kv_lora_rank: 4", "attention.kv_rank"],
  ["qk_nope_head_dim: 4", "attention.nope_dim"],
  ["qk_rope_head_dim: 4", "attention.rope_dim"],
  ["v_head_dim: 4", "attention.value_dim"],
  ["sliding_window: 4", "attention.window"],
  ["rope_scaling: {}", "attention.rope"],
])("%s of a config.json is model.%s", (line, path) => {
  const [first] = readSpecText(smallSpecWith(["  width: 48", `  width: 48\n  ${line}`])).diagnostics;
  const isOwn = !path.includes(".");
  expect(first.help).toBe(isOwn ? `here it is called \`${path}\`` : `write it as \`model.${path}\``);
});

describe("entries of a list", () => {
  const kindsOf = (text: string) =>
    specOf(text).model.layers.map(({ ffn }) => `${ffn.kind} ${ffn.intermediate} ${ffn.activation.text.text}`);

  test("one of another kind drops the keys that it does not have and keeps the others", () => {
    const list = `\n    - { ${moe}, shared: 1, activation: gelu(gate) * up, bias: true, router: { scale: 2 } }
    - { layers: 0..1, kind: dense, intermediate: 32 }
    - { layers: 1, kind: moe, experts: 3, top_k: 3 }`;
    const text = ffnOf(list);
    const activation = "gelu(gate) * up";
    expect(kindsOf(text)).toEqual([
      `dense 32 ${activation}`,
      ...[32, 96, 96].map((intermediate) => `moe ${intermediate} ${activation}`),
    ]);
    const [, second, third] = specOf(text).model.layers.map(({ ffn }) => ffn);
    expect(third).toMatchObject({ experts: 6, sharedIntermediate: 96, bias: true, router: { scale: 2 } });
    // It became experts again from a dense block: nothing is left of the first ones.
    expect(second).toMatchObject({ experts: 3, topK: 3, sharedIntermediate: 0, bias: true, router: { scale: 1 } });
  });

  test("below a key that stays, keys of the other kind are dropped as well", () => {
    const list = `[{ kind: gqa, heads: 4, rope: { theta: 5, dim: 4 } }, { layers: 1.., ${mla}, rope: { layout: interleaved } }]`;
    const ropes = specOf(attentionOf(list)).model.layers.map(({ attention }) => attention.rope);
    expect(ropes.slice(0, 2)).toMatchObject([
      { theta: 5, dim: 4, layout: "half" },
      { theta: 5, dim: 4, layout: "interleaved" },
    ]);
    const { attention } = specOf(attentionOf(list.replace("rope_dim: 4", "rope_dim: 6"))).model.layers[1];
    expect(attention.rope.dim).toBe(6);
  });

  test("one of the same kind, or of none, changes its keys only", () => {
    const list = `[{ ${moe}, router: { scale: 2, normalize: true } }, { layers: 1, kind: moe, router: { scale: 3 } }, { layers: 2, top_k: 1 }]`;
    const routers = specOf(ffnOf(list)).model.layers.map(({ ffn }) => {
      return ffn.kind === "moe" && [ffn.topK, ffn.router.scale, ffn.router.normalize];
    });
    expect(routers).toEqual([
      [2, 2, true],
      [2, 3, true],
      [1, 2, true],
      [2, 2, true],
    ]);
  });

  test.each([
    [`[{ kind: dense, intermediate: 9 }, { layers: 1, top_k: 2 }]`, "top_k", "moe", "dense"],
    [`[{ layers: 1, top_k: 2 }, { kind: dense, intermediate: 9 }]`, "top_k", "moe", "dense"],
  ])("%s: a key that the merged block has not is told of once, where it stands", (list, key, owner, kind) => {
    const [first, ...others] = readSpecText(ffnOf(list)).diagnostics;
    expect([first.code, under(first), others]).toEqual(["key/other-kind", key, []]);
    expect(first.claim).toBe(
      `\`${key}\` is a key of model.ffn where the kind is \`${owner}\`, and here it is \`${kind}\``,
    );
  });

  test("one of another kind that lacks a key is told which", () => {
    const text = ffnOf(`[{ kind: dense, intermediate: 9 }, { layers: 1..2, kind: moe, experts: 4 }]`);
    const [first] = readSpecText(text).diagnostics;
    expect([first.code, first.claim]).toEqual([
      "range/missing-keys",
      "layers 1..2 have no `top_k` in any entry of model.ffn",
    ]);
  });
});

describe("sizes", () => {
  test("those of a block may be named in it and below it", () => {
    const text = ffnOf(
      `{ ${moe.replace("top_k: 2", "top_k: experts / 3")}, shared: top_k, router: { groups: { count: experts / 2, keep: count - 1, score: max } } }`,
    );
    const { ffn } = specOf(text).model.layers[0];
    expect(ffn).toMatchObject({ topK: 2, sharedIntermediate: 192, router: { groups: { count: 3, keep: 2 } } });
  });

  test("those of another kind may not", () => {
    const [first] = readSpecText(ffnOf("{ kind: dense, intermediate: top_k }")).diagnostics;
    expect([first.code, under(first)]).toEqual(["size/unknown-name", "top_k"]);
    expect(first.details).toEqual(["names here: intermediate, vocab, context, width, layers"]);
  });

  test("one that was left out and has no default is told of", () => {
    const text = attentionOf(`{ ${mla.replace("nope_dim: 6", "nope_dim: q_rank")} }`);
    const [first, ...others] = readSpecText(text).diagnostics;
    expect([first.code, first.claim, others]).toEqual([
      "size/not-given",
      "model.attention.q_rank has no value here",
      [],
    ]);
    expect(first.help).toBe("give `model.attention.q_rank`, or write a number");
    expect(specFaults(smallSpecWith(["steps: 100", "steps: tokens"]))).toEqual(["error 12:10 size/not-given"]);
  });
});
