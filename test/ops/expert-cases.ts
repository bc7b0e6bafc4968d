// Cases of the ops of a mixture of experts: routing that is made here, with experts that nobody chose and odd numbers of rows.

import { ELEMENT } from "../../compiler/formula/terms.ts";
import { dim, tensor } from "../../compiler/graph/types.ts";
import { type CaseInput, formulaFrom, type OpCase, real, scalar, state } from "./case-parts.ts";

/** Every token chooses `topK` of the first `used` of all experts. */
interface RoutingCase {
  readonly tokens: number;
  readonly topK: number;
  readonly experts: number;
  readonly used: number;
}

interface Routing {
  readonly index: number[];
  readonly source: number[];
  readonly place: number[];
  readonly expert: number[];
  readonly start: number[];
  readonly count: number[];
}

function routingOf({ tokens, topK, experts, used }: RoutingCase): Routing {
  const index = Array.from({ length: tokens * topK }, (_, i) => {
    const token = Math.floor(i / topK);
    return (token * token + (i % topK)) % used;
  });
  const choices = tokens * topK;
  const rows = choices + Math.min(experts, choices);
  const routing: Routing = {
    index,
    source: Array<number>(rows).fill(-1),
    place: [],
    expert: Array<number>(rows).fill(-1),
    start: [],
    count: [],
  };
  let row = 0;
  for (let e = 0; e < experts; e++) {
    row += row % 2;
    routing.start.push(row);
    index.forEach((chosen, choice) => {
      if (chosen !== e) return;
      routing.source[row] = choice;
      routing.expert[row] = e;
      routing.place[choice] = row++;
    });
    routing.count.push(row - routing.start[e]);
  }
  return routing;
}

const routings: readonly RoutingCase[] = [
  { tokens: 1, topK: 1, experts: 1, used: 1 },
  { tokens: 1, topK: 2, experts: 5, used: 3 },
  { tokens: 7, topK: 2, experts: 4, used: 3 },
  { tokens: 33, topK: 3, experts: 6, used: 6 },
  { tokens: 70, topK: 2, experts: 3, used: 2 },
];

const whole = (name: string, values: readonly number[], ...dims: ReturnType<typeof dim>[]): CaseInput => ({
  name,
  type: tensor("i32", ...dims),
  make: (i) => values[i],
});

/** The inputs that a routing gives, by the names of the ops' ports. */
function inputsOf(routing: RoutingCase) {
  const { tokens, topK, experts } = routing;
  const made = routingOf(routing);
  const routed = dim("routed", made.source.length);
  const choices = [dim("tokens", tokens), dim("top_k", topK)] as const;
  return {
    routed,
    tokens: choices[0],
    index: whole("index", made.index, ...choices),
    place: whole("place", made.place, ...choices),
    source: whole("source", made.source, routed),
    start: whole("start", made.start, dim("experts", experts)),
    count: whole("count", made.count, dim("experts", experts)),
    weights: real("weights", 1, ...choices),
  };
}

const titleOf = ({ tokens, topK, experts, used }: RoutingCase): string =>
  `${tokens} tokens to ${topK} of ${used} of ${experts} experts`;

function movingCases(routing: RoutingCase, width: number): OpCase[] {
  const { routed, tokens, index, place, source, weights } = inputsOf(routing);
  const title = `${titleOf(routing)}, ${width} channels`;
  const channels = dim("width", width);
  const x = real("x", 1, tokens, channels);
  const rows = real("rows", 1, routed, channels);
  const addend = real("addend", 1, tokens, channels);
  const one = (op: string, what: string, ...inputs: CaseInput[]): OpCase => ({
    op,
    title: `${title}${what}`,
    inputs,
    attributes: null,
  });
  return [
    { op: "expert_order", title, inputs: [index], attributes: { experts: routing.experts } },
    one("dispatch", "", x, source, place),
    one("dispatch_weighted", "", x, source, weights),
    one("combine", "", rows, weights, place, source),
    one("combine", ", added", rows, weights, place, source, addend),
    one("combine_sum", "", rows, place),
    one("combine_sum", ", added", rows, place, addend),
    one("combine_dots", "", rows, real("d_y", 1, tokens, channels), place),
  ];
}

function groupedCases(routing: RoutingCase, out: number, inner: number): OpCase[] {
  const { routed, start, count } = inputsOf(routing);
  const title = `${titleOf(routing)}, ${inner} to ${out} channels`;
  const experts = dim("experts", routing.experts);
  const [outs, ins] = [dim("out", out), dim("in", inner)];
  const weight = real("weight", 1, experts, outs, ins);
  const dY = real("d_y", 1, routed, outs);
  const x = real("x", 1, routed, ins);
  return [
    { op: "grouped_linear", title, inputs: [x, weight, start, count], attributes: null },
    { op: "grouped_linear_dgrad", title, inputs: [dY, weight, start, count], attributes: null },
    { op: "grouped_linear_wgrad", title, inputs: [dY, x, start, count], attributes: { accumulates: false } },
    ...[0, 1].map((first) => ({
      op: "grouped_linear_wgrad_accumulate",
      title: `${title}, first ${first}`,
      inputs: [dY, x, start, count, state(real("state", 1, experts, outs, ins)), scalar("first", first)],
      attributes: { accumulates: true },
    })),
  ];
}

interface RouterCase {
  readonly score: string;
  readonly tokens: number;
  readonly experts: number;
  readonly width: number;
  readonly topK: number;
  readonly groups?: { readonly count: number; readonly keep: number; readonly score: "top2_sum" | "max" };
  readonly normalize: boolean;
  readonly scale: number;
  readonly hasBias?: boolean;
  readonly hasChoiceBias?: boolean;
}

const routers: readonly RouterCase[] = [
  { score: "softmax(logit)", tokens: 1, experts: 1, width: 3, topK: 1, normalize: false, scale: 1 },
  { score: "softmax(logit)", tokens: 9, experts: 7, width: 13, topK: 3, normalize: false, scale: 1 },
  { score: "softmax(logit)", tokens: 35, experts: 8, width: 20, topK: 2, normalize: true, scale: 1, hasBias: true },
  { score: "sigmoid(logit)", tokens: 5, experts: 5, width: 9, topK: 5, normalize: true, scale: 2.5 },
  {
    ...{ score: "sigmoid(logit)", tokens: 33, experts: 12, width: 17, topK: 4, normalize: true, scale: 2.5 },
    groups: { count: 4, keep: 2, score: "top2_sum" },
    hasChoiceBias: true,
  },
  {
    ...{ score: "softmax(logit)", tokens: 6, experts: 20, width: 24, topK: 3, normalize: false, scale: 16 },
    groups: { count: 5, keep: 2, score: "max" },
    hasBias: true,
    hasChoiceBias: true,
  },
  { score: "sqrt(softplus(logit))", tokens: 4, experts: 6, width: 8, topK: 2, normalize: true, scale: 1 },
];

function routerCase({ tokens, experts, width, score, ...rules }: RouterCase): OpCase {
  const { groups, hasBias = false, hasChoiceBias = false, ...others } = rules;
  const each = dim("experts", experts);
  const formula = formulaFrom(score, { logit: [ELEMENT] }, "number", ELEMENT);
  return {
    op: "router",
    title: `${score}, ${tokens} tokens, ${rules.topK} of ${experts} experts${groups === undefined ? "" : ` in ${groups.count} groups`}`,
    inputs: [
      real("x", 1, dim("tokens", tokens), dim("width", width)),
      real("weight", 1, each, dim("width", width)),
      ...(hasBias ? [real("bias", 1, each)] : []),
      ...(hasChoiceBias ? [{ ...real("choice_bias", 0.3, each), isConstant: true }] : []),
    ],
    attributes: { ...others, groups, hasBias, hasChoiceBias, score: formula },
  };
}

function routerBackwardCase(routing: RoutingCase, normalize: boolean, scale: number): OpCase {
  const { tokens, index, weights } = inputsOf(routing);
  const scores: CaseInput = {
    name: "scores",
    type: tensor("f32", tokens, dim("experts", routing.experts)),
    make: (_, random) => Math.fround(0.6 + 0.4 * random()),
  };
  return {
    op: "router_backward",
    title: `${titleOf(routing)}, normalize ${normalize}, scale ${scale}`,
    inputs: [{ ...weights, name: "d_weights" }, index, scores],
    attributes: { topK: routing.topK, groups: undefined, normalize, scale },
  };
}

/** Channels of the experts' weights, out and in, by routing. */
const channels = [
  [1, 1],
  [3, 5],
  [17, 9],
  [20, 33],
  [300, 7],
] as const;

/**
 * What weights in pieces of 4 KiB are cut by: fifteen experts, six at a time, of whom some and the last four have no rows; one
 * row beside eight idle experts; one piece that has all rows; and experts that alone are more than a piece.
 */
const ragged: readonly { readonly routing: RoutingCase; readonly out: number; readonly inner: number }[] = [
  { routing: { tokens: 21, topK: 2, experts: 15, used: 11 }, out: 13, inner: 9 },
  { routing: { tokens: 1, topK: 1, experts: 9, used: 1 }, out: 17, inner: 20 },
  { routing: { tokens: 33, topK: 2, experts: 7, used: 2 }, out: 24, inner: 14 },
  { routing: { tokens: 5, topK: 2, experts: 3, used: 3 }, out: 90, inner: 10 },
];

function balanceCases(): OpCase[] {
  const [tokens, experts] = [dim("tokens", 12), dim("experts", 7)];
  const each = [dim("experts", 7)] as const;
  const scores: CaseInput = {
    name: "scores",
    type: tensor("f32", tokens, experts),
    make: (_, random) => Math.fround(0.6 + 0.4 * random()),
  };
  const load = whole("count", [4, 0, 9, 3, 3, 1, 4], ...each);
  return [
    ...[1, 4, 12].map((rows) => ({
      op: "expert_fractions",
      title: `12 tokens, ${rows} at a time`,
      inputs: [{ ...scores, isConstant: true }],
      attributes: { topK: 2, rows },
    })),
    {
      op: "balance_loss",
      title: "12x7",
      inputs: [scores, { ...scores, name: "fractions" }],
      attributes: null,
    },
    { op: "router_z_loss", title: "12x7", inputs: [real("x", 3, tokens, experts)], attributes: null },
    { op: "loads", title: "7", inputs: [load], attributes: null },
    ...[0, 1].map((finite) => ({
      op: "move_choice_bias",
      title: `finite ${finite}`,
      inputs: [
        state(real("bias", 1, ...each)),
        { name: "load", type: tensor("f32", ...each), make: load.make },
        scalar("rate", 0.01),
        scalar("finite", finite),
      ],
      attributes: null,
    })),
    { op: "spread", title: "9", inputs: [scalar("value", 0.3)], attributes: { type: tensor("f32", dim("tokens", 9)) } },
  ];
}

export const expertCases = (): OpCase[] => [
  ...routings.flatMap((routing, i) => movingCases(routing, [1, 4, 13, 40, 6][i])),
  ...routings.flatMap((routing, i) => groupedCases(routing, channels[i][0], channels[i][1])),
  ...routers.map(routerCase),
  ...routings.flatMap((routing) => [routerBackwardCase(routing, true, 2.5), routerBackwardCase(routing, false, 1)]),
  ...balanceCases(),
  {
    op: "add_bias",
    title: "7x13",
    inputs: [real("x", 1, dim("rows", 7), dim("width", 13)), real("bias", 1, dim("width", 13))],
    attributes: null,
  },
  ...ragged.flatMap(({ routing, out, inner }) => groupedCases(routing, out, inner)),
];
