// Cases of attention over sequences and over pages, and of what turns its queries and keys.

import type { Formula } from "../../compiler/formula/formula.ts";
import { ELEMENT, LANE, ROW, UNIFORM } from "../../compiler/formula/terms.ts";
import { type Dim, dim, tensor } from "../../compiler/graph/types.ts";
import { type CaseInput, formulaFrom, type OpCase, type ParameterTable, positive, real } from "./case-parts.ts";

/** No case has more positions than 200. */
const position = { low: 0, high: 199 };
const pair: ParameterTable = {
  q: [ROW, "integer", position],
  k: [LANE, "integer", position],
  head: [UNIFORM, "integer", { low: 0, high: 15 }],
};
const scoreFormula = (text: string): Formula => formulaFrom(text, { s: [ELEMENT], ...pair });
export const maskFormula = (text: string): Formula =>
  formulaFrom(text, { ...pair, same_document: [ELEMENT, "condition"] }, "condition");

const rows = (n: number) => dim("rows", n);

export function ropeCases(): OpCase[] {
  const cases = [
    { tokens: 5, heads: 3, headDim: 10, turned: "all", dim: 10, layout: "half" },
    { tokens: 9, heads: 2, headDim: 32, turned: "all", dim: 32, layout: "half" },
    { tokens: 4, heads: 3, headDim: 6, turned: "all", dim: 6, layout: "interleaved" },
    { tokens: 1, heads: 1, headDim: 16, turned: "all", dim: 16, layout: "interleaved" },
    { tokens: 5, heads: 3, headDim: 9, turned: "first", dim: 6, layout: "half" },
    { tokens: 3, heads: 2, headDim: 37, turned: "first", dim: 2, layout: "interleaved" },
    { tokens: 4, heads: 3, headDim: 36, turned: "last", dim: 12, layout: "interleaved" },
    { tokens: 1, heads: 1, headDim: 13, turned: "last", dim: 10, layout: "half" },
  ];
  return cases.map(({ tokens, heads, headDim, turned, dim: size, layout }) => {
    const half = dim("half", size / 2);
    return {
      op: "rope",
      title: `${layout} ${tokens} tokens, ${heads} heads of ${headDim}, ${turned} ${size} turn`,
      inputs: [
        real("x", 2, rows(tokens), dim("projected", heads * headDim)),
        { ...real("cos", 1, rows(tokens), half), isConstant: true },
        { ...real("sin", 1, rows(tokens), half), isConstant: true },
      ],
      attributes: { heads, headDim, turned, layout },
    };
  });
}

/** Projections' columns taken apart, put together and normalised by head. */
export function columnCases(): OpCase[] {
  const sizes = [
    { tokens: 1, heads: 1, nopeDim: 1, ropeDim: 2, valueDim: 1 },
    { tokens: 5, heads: 3, nopeDim: 24, ropeDim: 12, valueDim: 20 },
    { tokens: 130, heads: 2, nopeDim: 7, ropeDim: 6, valueDim: 33 },
    { tokens: 3, heads: 17, nopeDim: 3, ropeDim: 4, valueDim: 2 },
  ];
  return sizes.flatMap(({ tokens, heads, nopeDim, ropeDim, valueDim }) => {
    const [first, second] = [dim("first", nopeDim), dim("second", valueDim)];
    const title = `${tokens} rows, ${heads} heads of ${nopeDim}, ${ropeDim} and ${valueDim}`;
    const [x, joined] = [dim("x", nopeDim + valueDim), dim("joined", nopeDim + valueDim)];
    const projected = dim("projected", heads * valueDim);
    return [
      { op: "split_columns", title, inputs: [real("x", 1, rows(tokens), x)], attributes: { first, second } },
      {
        op: "join_columns",
        title,
        inputs: [real("a", 1, rows(tokens), first), real("b", 1, rows(tokens), second)],
        attributes: { width: joined },
      },
      {
        op: "latent_keys_values",
        title,
        inputs: [
          real("expanded", 1, rows(tokens), dim("expanded", heads * (nopeDim + valueDim))),
          real("k_rope", 1, rows(tokens), dim("rope", ropeDim)),
        ],
        attributes: { heads, nopeDim, ropeDim, valueDim },
      },
      ...[2 * valueDim, 2 * valueDim + 1].flatMap((rank) =>
        absorbCases(tokens, { heads, nopeDim, ropeDim, valueDim }, rank),
      ),
      {
        op: "rms_norm_heads",
        title,
        inputs: [real("x", 2, rows(tokens), projected), positive("gain", dim("head_dim", valueDim))],
        attributes: { eps: 1e-5, heads },
      },
      {
        op: "add_bias",
        title,
        inputs: [real("x", 2, rows(tokens), projected), real("bias", 1, projected)],
        attributes: null,
      },
    ];
  });
}

function absorbCases(
  tokens: number,
  attributes: { heads: number; nopeDim: number; ropeDim: number; valueDim: number },
  rank: number,
): OpCase[] {
  const { heads, nopeDim, ropeDim, valueDim } = attributes;
  const weight = real("weight", 1, dim("expanded", heads * (nopeDim + valueDim)), dim("latent", rank));
  const q = real("q", 1, rows(tokens), dim("queries", heads * (nopeDim + ropeDim)));
  const attended = real("attended", 1, rows(tokens), dim("attended", heads * rank));
  const title = `${tokens} rows, ${heads} heads of ${nopeDim}, ${ropeDim} and ${valueDim}, rank ${rank}`;
  return [
    { op: "absorb_queries", title, inputs: [q, weight], attributes },
    { op: "absorb_values", title, inputs: [attended, weight], attributes },
  ];
}

const masks = [
  "k <= q",
  "k <= q && same_document",
  "k <= q && q - k < 5 || k == 0 && q > 3",
  "q - k < 3 && k - q < 3",
  "k < q",
];
const scores = ["s", "30 * tanh(s / 30)", "s - 0.25 * (head + 1) * (q - k)"];

/** Whole numbers that leave 32 bits: kernels decide such comparisons before they run, and compute such scores in floats. */
const large: readonly (readonly [score: string, mask: string])[] = [
  ["s", "k <= q && q - k <= 3e9"],
  ["s", "k <= q && k * 15000000 < 3e9"],
  ["s", "k <= q && q - k < 1e30"],
  ["s", "k <= q && k > -3e9 && q - k < 4294967300"],
  ["s - abs(3e9 * (q - k)) / 6e9", "k <= q"],
  ["s - max(1e9 * k, q) / 1e10", "k <= q && q * k * 10 < 4001"],
  ["s * 3 * k / 40 + if(3 * k - q < 5, 1, 0)", "k <= q"],
];

/** Scores without a value, and without a slope, for pairs that the mask hides. */
const withoutValue: readonly (readonly [score: string, mask: string])[] = [
  ["s * (1 + 1 / (1 + q - k))", "k <= q"],
  ["s * sqrt(q - k + 1) / (1 + q - k)", "k <= q && same_document"],
];

export function attentionCases(): OpCase[] {
  const sizes = [
    { sequences: 1, sequence: 1, heads: 1, kvHeads: 1, headDim: 4 },
    { sequences: 2, sequence: 7, heads: 2, kvHeads: 1, headDim: 6 },
    { sequences: 1, sequence: 40, heads: 4, kvHeads: 2, headDim: 16 },
    { sequences: 2, sequence: 70, heads: 3, kvHeads: 3, headDim: 20 },
    { sequences: 1, sequence: 150, heads: 2, kvHeads: 1, headDim: 32 },
  ];
  const ordinary = sizes.flatMap((size, i) =>
    masks.map((mask, j) => attentionCase(size, scores[(i + j) % scores.length], mask)),
  );
  // Values narrower and wider than keys, one channel, primes, more channels than a panel, groups that share keys.
  const uneven: readonly AttentionSize[] = [
    { sequences: 2, sequence: 5, heads: 2, kvHeads: 2, headDim: 7, valueDim: 3 },
    { sequences: 1, sequence: 9, heads: 3, kvHeads: 1, headDim: 1, valueDim: 5, hasSinks: true },
    { sequences: 2, sequence: 35, heads: 3, kvHeads: 3, headDim: 36, valueDim: 20 },
    { sequences: 1, sequence: 67, heads: 4, kvHeads: 2, headDim: 5, valueDim: 33, hasSinks: true },
    { sequences: 1, sequence: 1, heads: 1, kvHeads: 1, headDim: 13, valueDim: 1, hasSinks: true },
    { sequences: 3, sequence: 70, heads: 4, kvHeads: 2, headDim: 16, hasSinks: true },
  ];
  const others = uneven.flatMap((size, i) =>
    ["k <= q", masks[1], masks[4]].map((mask, j) => attentionCase(size, scores[(i * j) % scores.length], mask)),
  );
  // Enough sequences that workgroups of wgsl own as many rows as they can, and half as many.
  const many: readonly AttentionSize[] = [
    { sequences: 16, sequence: 70, heads: 8, kvHeads: 8, headDim: 4 },
    { sequences: 16, sequence: 70, heads: 4, kvHeads: 2, headDim: 4 },
  ];
  const shared = many.map((size) => attentionCase(size, scores[0], masks[1]));
  const odd = [...large, ...withoutValue].map(([score, mask]) => attentionCase(sizes[4], score, mask));
  return [...ordinary, ...others, ...shared, ...odd];
}

interface AttentionSize {
  readonly sequences: number;
  readonly sequence: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Channels of a value, if not those of a key. */
  readonly valueDim?: number;
  readonly hasSinks?: boolean;
}

function attentionCase(
  { sequences, sequence, heads, kvHeads, headDim, valueDim = headDim, hasSinks = false }: AttentionSize,
  score: string,
  mask: string,
): OpCase {
  const tokens = rows(sequences * sequence);
  const [queries, keys] = [dim("queries", heads * headDim), dim("keys", kvHeads * headDim)];
  const values = valueDim === headDim ? keys : dim("values", kvHeads * valueDim);
  const channels = `${headDim}${valueDim === headDim ? "" : ` and ${valueDim}`}${hasSinks ? " with sinks" : ""}`;
  return {
    op: "attention",
    title: `${sequences}x${sequence}, ${heads}/${kvHeads} heads of ${channels}, ${score}, ${mask}`,
    inputs: [
      real("q", 2, tokens, queries),
      real("k", 2, tokens, keys),
      real("v", 1, tokens, values),
      { name: "documents", type: tensor("i32", tokens), make: (i) => Math.floor(i / 5) },
      ...(hasSinks ? [real("sinks", 3, dim("heads", heads))] : []),
    ],
    attributes: {
      heads,
      kvHeads,
      keyDim: headDim,
      valueDim,
      sequence,
      scale: 1 / Math.sqrt(headDim),
      formulas: { score: scoreFormula(score), mask: maskFormula(mask) },
    },
  };
}

interface PagedSize {
  readonly heads: number;
  readonly kvHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly hasSinks?: boolean;
}

/** Which new tokens of which sequences there are, and where their keys lie. */
interface PagedRows {
  readonly page: number;
  readonly slots: number;
  readonly positions: readonly number[];
  /** sequence, first row, rows, keys */
  readonly tiles: readonly (readonly [number, number, number, number])[];
  readonly table: readonly (readonly number[])[];
}

/** Three sequences: 1 new token at position 0, 5 new ones after 9, 1 new one after 40; pages out of order. */
const fewKeys: PagedRows = {
  page: 4,
  slots: 96,
  positions: [0, 9, 10, 11, 12, 13, 40],
  tiles: [
    [0, 0, 1, 1],
    [1, 1, 3, 14],
    [1, 4, 2, 14],
    [2, 6, 1, 41],
    [0, 0, 0, 0],
  ],
  table: [
    [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [7, 2, 20, 5, 0, 0, 0, 0, 0, 0, 0],
    [1, 4, 6, 8, 9, 10, 11, 12, 13, 14, 23],
  ],
};

/** More keys than a block of any kernel: a single token over 151, one over 64, and a row tile that sees 103. */
const manyKeys: PagedRows = {
  page: 16,
  slots: 368,
  positions: [150, 63, ...Array.from({ length: 35 }, (_, i) => 68 + i)],
  tiles: [
    [0, 0, 1, 151],
    [2, 1, 1, 64],
    [1, 2, 35, 103],
  ],
  table: [
    [22, 3, 5, 7, 9, 11, 13, 15, 17, 19, 0],
    [1, 2, 4, 6, 8, 10, 12, 0, 0, 0, 0],
    [21, 20, 18, 16, 0, 0, 0, 0, 0, 0, 0],
  ],
};

/** So many pages that a workgroup which has a part of a single token's keys goes through several blocks of them. */
const mostKeys: PagedRows = {
  page: 16,
  slots: 2096,
  positions: [2050],
  tiles: [[0, 0, 1, 2051]],
  table: [Array.from({ length: 130 }, (_, i) => 1 + ((i * 7) % 130))],
};

export function pagedCases(): OpCase[] {
  const sizes: readonly PagedSize[] = [
    { heads: 4, kvHeads: 2, keyDim: 12, valueDim: 12 },
    { heads: 4, kvHeads: 2, keyDim: 12, valueDim: 12, hasSinks: true },
    // More heads than a tile takes, as many tiles as heads, and values wider than keys.
    { heads: 6, kvHeads: 1, keyDim: 21, valueDim: 9 },
    { heads: 5, kvHeads: 1, keyDim: 3, valueDim: 17, hasSinks: true },
    { heads: 16, kvHeads: 2, keyDim: 4, valueDim: 20 },
    // More channels than a workgroup has in its memory, and more vectors of values than it has threads.
    { heads: 2, kvHeads: 1, keyDim: 40, valueDim: 520 },
  ];
  const short = ["k <= q", "k <= q && q - k < 6"];
  const long = ["k <= q", "k <= q && q - k < 60"];
  return [
    ...sizes.flatMap((size) => short.map((mask, i) => pagedCase(size, fewKeys, scores[i], mask))),
    ...long.map((mask, i) => pagedCase(sizes[i], manyKeys, scores[i], mask)),
    pagedCase(sizes[0], mostKeys, "s", "k <= q && q - k < 150"),
  ];
}

function pagedCase(
  { heads, kvHeads, keyDim, valueDim, hasSinks }: PagedSize,
  { page, slots: slotCount, positions, tiles, table }: PagedRows,
  score: string,
  mask: string,
): OpCase {
  const [queries, keys] = [dim("queries", heads * keyDim), dim("keys", kvHeads * keyDim)];
  const [slots, count] = [dim("slots", slotCount), rows(positions.length)];
  const values = valueDim === keyDim ? keys : dim("values", kvHeads * valueDim);
  const given = (name: string, values: readonly number[], ...dims: Dim[]): CaseInput => ({
    name,
    type: tensor("i32", ...dims),
    make: (i) => values[i],
  });
  return {
    op: "attention_paged",
    title: `${heads}/${kvHeads} heads of ${keyDim} and ${valueDim}${hasSinks ? " with sinks" : ""}, ${slotCount} slots, ${mask}`,
    inputs: [
      real("q", 2, count, queries),
      real("k_cache", 2, slots, keys),
      real("v_cache", 1, slots, values),
      given("positions", positions, count),
      given("page_table", table.flat(), dim("sequences", table.length), dim("table", table[0].length)),
      given("row_tiles", tiles.flat(), dim("tiles", tiles.length), dim("tile_fields", 4)),
      ...(hasSinks ? [real("sinks", 3, dim("heads", heads))] : []),
    ],
    attributes: {
      heads,
      kvHeads,
      keyDim,
      valueDim,
      page,
      scale: 1 / Math.sqrt(keyDim),
      formulas: { score: scoreFormula(score), mask: maskFormula(mask) },
    },
  };
}
