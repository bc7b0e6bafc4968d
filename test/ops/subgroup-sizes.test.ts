// Kernels that add within subgroups are right for every size that WGSL allows, whichever threads a subgroup is made of. The
// software adapter's have four threads side by side; here others take their place, which exchange values through memory.

import { expect, test } from "vitest";
import { dim } from "../../compiler/graph/types.ts";
import { targets } from "../../compiler/kernels/targets.ts";
import { openOnSoftwareGpu } from "../devices/software-gpu.ts";
import { expectConforming, graphsOf } from "./case-graphs.ts";
import { type OpCase, positive } from "./case-parts.ts";
import { opCases } from "./cases.ts";
import { manifestOf } from "./on-device.ts";

/**
 * One row over 128 lanes, and rows in both blocks of four; contractions and columns that end within a vector. Nothing cancels: a
 * part that is missing, or there twice, is far outside what so long a sum may be off.
 */
const sizes = [
  [1, 34, 1030],
  [8, 21, 130],
] as const;

const linears = sizes.flatMap(([m, n, k]): OpCase[] => {
  const [tokens, out, inner] = [dim("tokens", m), dim("out", n), dim("in", k)];
  const weight = positive("weight", out, inner);
  const [title, attributes] = [`${m}x${n}x${k}`, { accumulates: false }];
  return [
    { op: "linear", title, inputs: [positive("x", tokens, inner), weight], attributes },
    { op: "linear_dgrad", title, inputs: [positive("d_y", tokens, out), weight], attributes },
  ];
});
const others =
  /^(linear(_dgrad)?: 3x17x5|grouped_linear(_dgrad)?: (1|7) |absorb_values: |attention_paged: .*([46]\/.* 96 slots, k <= q$|(368|2096) slots))/;
const cases = [...linears, ...opCases.filter(({ op, title }) => others.test(`${op}: ${title}`))].flatMap((c, index) =>
  graphsOf(c, index),
);

/** How a workgroup is made up of subgroups: of `size` seats, of which every `spread`th is taken. */
interface Layout {
  readonly size: number;
  readonly spread: number;
}

const builtins = /^ {2}@builtin\((subgroup_\w+|num_subgroups)\) \w+: u32,\n/gm;

/** The kernel with other subgroups, in which threads are that are far apart. */
function withLayout(text: string, { size, spread }: Layout): string {
  const threads = Number(/@workgroup_size\((\d+)\)/.exec(text)?.[1]);
  expect(text.match(builtins)).toHaveLength(4);
  const taken = size / spread;
  return (
    text
      .replace(
        "enable subgroups;\nrequires subgroup_id;\n",
        `
var<private> shuffled_seat: u32;
var<workgroup> shuffled: array<vec4f, ${Math.max(size, spread * threads)}>;

fn shuffle_xor(value: vec4f, mask: u32) -> vec4f {
  workgroupBarrier();
  shuffled[shuffled_seat] = value;
  workgroupBarrier();
  return shuffled[shuffled_seat ^ mask];
}

fn shuffle_xor_one(value: f32, mask: u32) -> f32 {
  return shuffle_xor(vec4f(value), mask).x;
}
`,
      )
      .replace(builtins, "")
      // A maximum is of single values, everything else of four.
      .replaceAll("subgroupShuffleXor(most,", "shuffle_xor_one(most,")
      .replaceAll("subgroupShuffleXor", "shuffle_xor")
      .replace(
        "  let tile = group.x",
        `  // An odd factor: each thread has a number of its own.
  let mixed = (own_index * 37u + 11u) % ${threads}u;
  let own_subgroup = mixed / ${taken}u;
  let all_subgroups = ${Math.ceil(threads / taken)}u;
  let subgroup_size = ${size}u;
  let subgroup_thread = mixed % ${taken}u * ${spread}u;
  shuffled_seat = own_subgroup * ${size}u + subgroup_thread;
  let tile = group.x`,
      )
  );
}

test.each([
  { size: 4, spread: 1 },
  { size: 8, spread: 1 },
  { size: 16, spread: 1 },
  { size: 32, spread: 1 },
  { size: 64, spread: 1 },
  { size: 128, spread: 1 },
  { size: 16, spread: 2 },
])(
  "kernels conform with subgroups of $size threads, of which one in $spread is there",
  async (layout) => {
    const { manifest, texts } = await manifestOf(
      cases.map(({ graph }) => graph),
      { target: targets.wgsl, keepsAll: true },
    );
    const changed = [...texts].filter(([, text]) => text.includes("subgroupShuffleXor"));
    expect(changed.length).toBeGreaterThan(10);
    const all = new Map([...texts, ...changed.map(([file, text]) => [file, withLayout(text, layout)] as const)]);
    const device = await openOnSoftwareGpu(manifest, all);
    for (const c of cases) await expectConforming(device, c);
    await device.close();
  },
  300_000,
);
