import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { targets } from "../../compiler/kernels/targets.ts";
import type { Device } from "../../runtime/device.ts";
import { type CaseGraph, expectConforming, graphsOf } from "./case-graphs.ts";
import { opCases } from "./cases.ts";
import { manifestOf, openGraphs } from "./on-device.ts";

const all = opCases.flatMap((c, index) => graphsOf(c, index));
const pattern = new RegExp(process.env.OPS ?? ".");
const profile = (process.env.PROFILE ?? "wgsl-soft") as "wgsl" | "wgsl-soft";
const target =
  process.env.BINDING === undefined
    ? targets[profile]
    : { ...targets[profile], bindingBytes: Number(process.env.BINDING) };
const possible: CaseGraph[] = [];
for (const c of all.filter((c) => pattern.test(c.title))) {
  try {
    await manifestOf([c.graph], { target });
    possible.push(c);
  } catch (e) {
    if (!/not planned yet/.test(String(e))) throw e;
  }
}
console.log(`${possible.length} of ${all.length}`);
describe(profile, () => {
  let device: Device;
  beforeAll(async () => {
    device = await openGraphs(
      possible.map((c) => c.graph),
      2,
      { target, keepsAll: true },
    );
  }, 600000);
  afterAll(async () => {
    await device.close();
  });
  test.each(possible.map((c) => [c.title, c] as const))("%s", (_, c) => expectConforming(device, c));
  test("some", () => expect(possible.length).toBeGreaterThan(0));
});
