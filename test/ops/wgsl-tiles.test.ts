// Products of wgsl in tiles that a spec may ask for: threads with blocks of four by four and of eight by eight.

import { expect, test } from "vitest";
import { targets } from "../../compiler/kernels/targets.ts";
import { expectConforming, graphsOf } from "./case-graphs.ts";
import { opCases } from "./cases.ts";
import { manifestOf, openGraphs } from "./on-device.ts";

const products = /^(gradient of )?(linear: 130x96x20$|grouped_linear: 33 )/;
const cases = opCases.flatMap((c, index) => graphsOf(c, index)).filter(({ title }) => products.test(title));
const graphs = cases.map(({ graph }) => graph);

test.each([
  ["64x64x12", { rows: 64, columns: 64, depth: 12 }],
  ["128x96x8", { rows: 128, columns: 96, depth: 8 }],
])(
  "%s",
  async (name, tile) => {
    const options = { target: targets.wgsl, keepsAll: true, tile };
    const { manifest } = await manifestOf(graphs, options);
    expect(manifest.kernels.some((kernel) => kernel.name.endsWith(`_t${name}`))).toBe(true);
    const device = await openGraphs(graphs, 1, options);
    for (const c of cases) await expectConforming(device, c);
    await device.close();
  },
  300_000,
);

test("a tile is no larger than a product needs", async () => {
  const names = async (target: "wgsl" | "wgsl-soft") => {
    const { manifest } = await manifestOf(graphs, {
      target: targets[target],
      tile: { rows: 256, columns: 64, depth: 4 },
    });
    return manifest.kernels.map((kernel) => kernel.name).filter((kernel) => kernel.startsWith("matmul_nt_n96k20"));
  };
  expect(await names("wgsl")).toEqual(["matmul_nt_n96k20_t160x64x4"]);
  expect(await names("wgsl-soft")).toEqual(["matmul_nt_n96k20_t136x64"]);
});
