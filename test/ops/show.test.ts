import { test } from "vitest";
import { renderKernels } from "../../compiler/emit/kernel-files.ts";
import { planTarget } from "../../compiler/kernels/program.ts";
import { targets } from "../../compiler/kernels/targets.ts";
import { graphsOf } from "./case-graphs.ts";
import { opCases } from "./cases.ts";

test("show", () => {
  const profile = (process.env.PROFILE ?? "wgsl-soft") as "wgsl";
  for (const c of opCases
    .flatMap((c, i) => graphsOf(c, i))
    .filter((c) => new RegExp(process.env.OPS ?? "^rms").test(c.title))
    .slice(0, 2)) {
    const plan = planTarget({
      target: targets[profile],
      graphs: [c.graph],
      updates: new Set(),
      tileOf: () => ({ tile: targets[profile].defaultTile, key: undefined }),
    });
    for (const f of renderKernels(plan, "case").files) console.log(f.text);
  }
});
