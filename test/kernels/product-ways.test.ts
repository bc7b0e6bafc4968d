// On a GPU few rows and many are computed by different kernels: of each product of a run exactly one of them has work.

import { expect, test } from "vitest";
import { compile } from "../../compiler/compile.ts";
import { targets } from "../../compiler/kernels/targets.ts";
import type { ManifestLaunch } from "../../runtime/contract.ts";
import { evaluateExpression } from "../../runtime/expression.ts";
import { specOf, tinySpecs } from "../passes/tiny-specs.ts";

const most = 300;

test.each(tinySpecs)("%s: one way for any number of tokens", (_, text) => {
  const { manifest } = compile(specOf(text, [`serve.tokens=${most}`]), undefined, {}, targets.wgsl);
  const templates = manifest.kernels.map(({ template }) => template);
  let pairs = 0;
  for (const program of manifest.programs) {
    const products = new Map<string, ManifestLaunch[]>();
    for (const launch of program.waves.flat()) {
      if (!/^(grouped-matmul|matmul|matmul-heads)$/.test(templates[launch.kernel])) continue;
      const isLive = typeof launch.tiles !== "number";
      // Operands of every product: a, b, behind them what experts have, and the output.
      const out = launch.operands.findLast((o) => o !== null && "tensor" in o && o.tensor !== "scalars");
      if (isLive) products.set(JSON.stringify(out), [...(products.get(JSON.stringify(out)) ?? []), launch]);
    }
    for (const launches of products.values()) {
      if (launches.length === 2) pairs++;
      for (let tokens = 1; tokens <= most; tokens++) {
        const counts = { tokens, outputs: tokens, tiles: tokens };
        const working = launches.filter(({ tiles }) => evaluateExpression(tiles, counts) > 0);
        expect(working.length, `${launches[0].path} of ${program.name} with ${tokens} tokens`).toBe(1);
      }
    }
  }
  expect(pairs).toBeGreaterThan(0);
});
