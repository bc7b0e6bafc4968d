// Every kernel of every op on every device against the oracle, element by element within the tolerance function.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { wasm } from "../../compiler/kernels/wasm/index.ts";
import { gpu, soft } from "../../compiler/kernels/wgsl/index.ts";
import type { Device } from "../../runtime/device.ts";
import { expectConforming, graphsOf } from "./case-graphs.ts";
import { opCases } from "./cases.ts";
import { excess, inPieces, manifestOf, openGraphs } from "./on-device.ts";

const all = opCases.flatMap((c, index) => graphsOf(c, index));

describe.each([
  ["wasm", wasm],
  ["webgpu, with barriers", gpu],
  ["webgpu, without barriers", soft],
  ["webgpu, in pieces", inPieces(soft)],
])("on %s every kernel computes what its op means", (_, target) => {
  let device: Device;
  beforeAll(async () => {
    const graphs = all.map((c) => c.graph);
    device = await openGraphs(graphs, 2, { target, keepsAll: true });
  }, 300_000);
  afterAll(async () => {
    await device.close();
  });

  test.each(all.map((c) => [c.title, c] as const))("%s", (_, c) => expectConforming(device, c));
});

describe("on webgpu, with barriers, products of experts whose weights are in pieces", () => {
  const products = all.filter(({ graph }) => graph.nodes.some(({ op }) => op.startsWith("grouped_linear")));
  const graphs = products.map(({ graph }) => graph);
  const options = { target: inPieces(gpu), keepsAll: true };
  let device: Device;
  beforeAll(async () => {
    device = await openGraphs(graphs, 1, options);
  }, 300_000);
  afterAll(async () => {
    await device.close();
  });

  test("are of every form, for few rows and many, of whole experts and of parts of one", async () => {
    const { manifest } = await manifestOf(graphs, options);
    const kinds = [
      /_nt_.*_piece_few/,
      /_nt_.*_piece_t/,
      /_nn_.*_piece_few/,
      /_nn_.*_piece_t/,
      /_nn_.*_term_few/,
      /_nn_.*_term_t/,
    ];
    for (const kind of [...kinds, /wgrad_.*_piece_t/, /wgrad_.*_state_piece_t/]) {
      expect(manifest.kernels.filter(({ name }) => kind.test(name)).length, String(kind)).toBeGreaterThan(0);
    }
  });

  test.each(products.map((c) => [c.title, c] as const))("%s", (_, c) => expectConforming(device, c));
});

describe("where an adapter has no subgroups", () => {
  let device: Device;
  let chosen: ReadonlySet<string>;
  beforeAll(async () => {
    const graphs = all.map((c) => c.graph);
    const { manifest } = await manifestOf(graphs, { target: gpu, keepsAll: true });
    const hasVariants = ({ kernel }: { readonly kernel: number }) => manifest.kernels[kernel].variants !== undefined;
    const programs = manifest.programs.filter(({ waves }) => waves.flat().some(hasVariants));
    chosen = new Set(programs.map(({ name }) => name));
    const own = graphs.filter(({ name }) => chosen.has(name));
    device = await openGraphs(own, 2, { target: gpu, keepsAll: true, isPlain: true });
  }, 300_000);
  afterAll(async () => {
    await device.close();
  });

  test("kernels that would use them compute what their ops mean", async () => {
    expect(chosen.size).toBeGreaterThan(10);
    for (const c of all.filter(({ graph }) => chosen.has(graph.name))) await expectConforming(device, c);
  });
});

describe("products in tiles of the spec compute the same", () => {
  const products = all.filter(({ graph }) => graph.nodes.some(({ op }) => op.startsWith("linear")));

  test.each([
    { rows: 2, columns: 16, depth: 1 },
    { rows: 6, columns: 48, depth: 7 },
    { rows: 4096, columns: 4096, depth: 4096 },
  ])("$rows x $columns x $depth", async (tile) => {
    const graphs = products.map(({ graph }) => graph);
    const device = await openGraphs(graphs, 3, { keepsAll: true, tile });
    for (const c of products) await expectConforming(device, c);
    await device.close();
  });
});

test("an error of eight tolerances is seen", () => {
  expect(excess(1 + 8e-6, 1, 1e-6 / 2)).toBeGreaterThan(0);
  expect(excess(1 + 0.9e-6, 1, 1e-6 / 2)).toBeLessThanOrEqual(0);
});
