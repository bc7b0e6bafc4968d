// Fusion and recomputation change how values are computed, not which: the oracle runs both graphs to the same results.

import { describe, expect, test } from "vitest";
import { buildPrograms, compile } from "../../compiler/compile.ts";
import type { Graph } from "../../compiler/graph/graph.ts";
import { elementCount } from "../../compiler/graph/types.ts";
import { Oracle } from "../../compiler/oracle.ts";
import { fuse } from "../../compiler/passes/fuse.ts";
import { generator } from "../ops/case-parts.ts";
import { specOf, tinySpecs } from "./tiny-specs.ts";

/** Values for everything a graph is given: indices within bounds, flags 1, the rest random. */
function fill(oracle: Oracle, graph: Graph, vocab: number, sequence: number): void {
  const random = generator(17);
  for (const { name, type, rule } of graph.given) {
    if (rule !== undefined) continue;
    const count = elementCount(type);
    const make = (i: number): number => {
      if (name === "documents") return Math.floor(i / 6);
      if (name === "positions") return i % sequence;
      if (name === "targets" && i % 5 === 4) return -1;
      if (type.dtype === "i32") return Math.floor(((random() + 1) / 2) * vocab);
      if (name === "step.never") return 0;
      if (name.startsWith("step.") || name.startsWith("optimizer.")) return 0.25;
      return name.startsWith("moment2") ? 0.5 + 0.1 * random() : random();
    };
    oracle.set(
      name,
      Float64Array.from({ length: count }, (_, i) => make(i)),
    );
  }
}

function outcome(graph: Graph, vocab: number, sequence: number): Map<string, Float64Array> {
  const oracle = new Oracle({ rounds: false });
  fill(oracle, graph, vocab, sequence);
  return new Map([...oracle.run(graph), ...oracle.store]);
}

function expectSame(a: Graph, b: Graph, vocab: number, sequence: number): void {
  const [left, right] = [outcome(a, vocab, sequence), outcome(b, vocab, sequence)];
  for (const name of [...a.results.keys(), ...b.given.map((v) => v.name)]) {
    const [x, y] = [left.get(name), right.get(name)];
    expect(y?.length, name).toBe(x?.length);
    x?.forEach((value, i) => {
      expect(Math.abs(value - (y?.[i] ?? Number.NaN)), `${name}[${i}]`).toBeLessThan(
        1e-9 * Math.max(1, Math.abs(value)),
      );
    });
  }
}

const trained = (graphs: readonly Graph[]): Graph[] => graphs.filter((g) => g.name !== "extend");

const formats = tinySpecs.flatMap(([name, text]) =>
  ["f32", "bf16"].map((format) => [`${name} in ${format}`, text, [`precision=[${format}]`]] as const),
);

describe.each(formats)("%s", (_, text, precision) => {
  const spec = specOf(text, precision);
  const sequence = spec.train?.sequence ?? 1;
  const { graphs } = buildPrograms(spec);

  test.each(trained(graphs).map((g) => [g.name, g] as const))(
    "fusing %s computes the same values with fewer nodes",
    (name, graph) => {
      const fused = fuse(graph);
      if (name === "micro_step") expect(fused.nodes.length).toBeLessThan(0.8 * graph.nodes.length);
      expectSame(graph, fused, spec.model.vocab, sequence);
    },
  );

  test("recomputation repeats forward nodes and computes the same gradients", () => {
    const again = buildPrograms(
      specOf(text, [...precision, "recompute+=norm", "recompute+=activation", "recompute+=attention.core"]),
    );
    const [kept, recomputed] = [graphs, again.graphs].map((list) => list.find((g) => g.name === "micro_step"));
    if (kept === undefined || recomputed === undefined) throw new Error("no micro_step");
    const clones = recomputed.nodes.filter((node) => node.isRecomputed);
    // Every layer has two norms, one activation and one core (with its document-free mask or not).
    expect(clones.length).toBeGreaterThanOrEqual(4 * spec.model.layers.length);
    expectSame(kept, recomputed, spec.model.vocab, sequence);
  });

  test("recomputation lowers the memory of a run", () => {
    const bytes = (overrides: string[]) =>
      compile(specOf(text, [...precision, ...overrides])).plan.programs.find((p) => p.name === "micro_step")
        ?.activationBytes ?? 0;
    expect(bytes(["recompute+=norm", "recompute+=activation"])).toBeLessThan(bytes([]));
  });
});
