// The table of contents: calls the stages in order and does nothing else.

import type { Manifest } from "../runtime/contract.ts";
import { type KernelFile, renderKernels } from "./emit/kernel-files.ts";
import { targetManifest } from "./emit/manifest.ts";
import { modelManifest } from "./emit/model-manifest.ts";
import type { Graph } from "./graph/graph.ts";
import { planTarget, type TargetPlan } from "./kernels/program.ts";
import type { Target } from "./kernels/target.ts";
import { targets } from "./kernels/targets.ts";
import { tileChooser } from "./kernels/tile.ts";
import { buildModel, type Model, type ModelOptions } from "./model/model.ts";
import type { Objective } from "./model/objectives.ts";
import { precisionPrograms, ruleProblems } from "./model/rule-problems.ts";
import { buildUpdate, gradientName } from "./model/update.ts";
import { accumulateLoss } from "./passes/accumulate-loss.ts";
import { assignPrecision } from "./passes/assign-precision.ts";
import { chooseRecompute } from "./passes/choose-recompute.ts";
import { differentiate } from "./passes/differentiate.ts";
import { fuse } from "./passes/fuse.ts";
import { type Diagnostic, Diagnostics } from "./source/diagnostic.ts";
import type { Note } from "./source/notes.ts";
import type { PrecisionRule, Spec } from "./spec/spec.ts";

/** The graphs of a model after each pass, in order: what `mspec dump` prints. */
export interface StageGraphs {
  readonly stage: string;
  readonly graphs: readonly Graph[];
}

export interface Programs {
  readonly model: Model;
  /** The program graph, equal on all targets; what the oracle runs. */
  readonly graphs: readonly Graph[];
  readonly stages: readonly StageGraphs[];
  readonly notes: readonly Note[];
  /** Rules that later ones hide; what is wrong is thrown. */
  readonly warnings: readonly Diagnostic[];
}

/** Runs a stage for somebody who measures it. */
export type Measure = <T>(stage: string, work: () => T) => T;

const unmeasured: Measure = (_stage, work) => work();

export interface Build {
  readonly spec: Spec;
  readonly programs: Programs;
  readonly plan: TargetPlan;
  readonly kernels: readonly KernelFile[];
  readonly manifest: Manifest;
  readonly notes: readonly Note[];
}

/** How many of what paths index there are: negative indices of selectors count from it. */
export const countsOf = (spec: Spec): ReadonlyMap<string, number> =>
  new Map([
    ["layers", spec.model.layers.length],
    ["mtp", spec.model.mtp?.depth ?? 0],
  ]);

/** Spec → program graphs. Throws a DiagnosticError for what only shows once the operations are known. */
export function buildPrograms(spec: Spec, measure = unmeasured, options: ModelOptions = {}): Programs {
  const diagnostics = new Diagnostics();
  const counts = countsOf(spec);
  const model = measure("model", () => buildModel(spec, diagnostics, options));
  diagnostics.throwIfErrors();
  const { sequence, serving, objectives } = model;
  const forward = sequence === undefined ? serving : [sequence, ...serving];
  const differentiated = measure("differentiate", () =>
    sequence === undefined ? forward : [gradientsOf(sequence, objectives), ...forward],
  );
  const summed = measure("accumulate-loss", () =>
    differentiated.map((graph) => (serving.includes(graph) ? graph : lossProgram(graph))),
  );
  measure("check rules", () => {
    for (const problem of ruleProblems(spec, summed, model.parameters, counts)) diagnostics.add(problem);
  });
  diagnostics.throwIfErrors();
  const precise = measure("assign-precision", () =>
    summed.map((graph) => assignPrecision(graph, rulesFor(graph, spec), counts)),
  );
  const recomputed = measure("choose-recompute", () =>
    precise.map(({ graph }) => chooseRecompute(graph, spec.recompute, counts)),
  );
  const update = spec.train === undefined ? [] : [buildUpdate(spec.train, model, counts)];
  const graphs = [...recomputed.map(({ graph }) => graph), ...update];
  return {
    model,
    graphs,
    stages: [
      { stage: "model", graphs: [...forward, ...update] },
      { stage: "differentiate", graphs: [...differentiated, ...update] },
      { stage: "accumulate-loss", graphs: [...summed, ...update] },
      { stage: "assign-precision", graphs: [...precise.map(({ graph }) => graph), ...update] },
      { stage: "choose-recompute", graphs },
    ],
    notes: [...precise.flatMap(({ notes }) => notes), ...recomputed.flatMap(({ notes }) => notes)],
    warnings: diagnostics.all,
  };
}

/** The common rules of precision and the program's own. */
function rulesFor({ name }: Graph, { precision }: Spec): PrecisionRule[] {
  return precision.filter(({ program }) => program === undefined || program === precisionPrograms.get(name));
}

/** Graphs with losses as programs: training sums up everything, evaluation the losses of what is predicted. */
const lossProgram = (graph: Graph): Graph =>
  graph.name === "gradients"
    ? accumulateLoss(graph, "micro_step", () => true)
    : accumulateLoss(graph, "evaluate", (result) => result === "losses" || /^(mtp|loads)\./.test(result));

/** The sequence graph with the gradients of its parameters. */
const gradientsOf = (sequence: Graph, objectives: readonly Objective[]): Graph =>
  differentiate(sequence, {
    name: "gradients",
    seeds: new Map([
      ["losses", "step.inverse_targets"],
      ...objectives.map(({ result, seed }) => [result, seed] as const),
    ]),
    gradientName,
  });

export { targets };

/** Spec → kernels and manifest of one target. */
export function compile(
  spec: Spec,
  measure = unmeasured,
  options: ModelOptions = {},
  target: Target = targets.wasm,
): Build {
  return compileFor(target, spec, buildPrograms(spec, measure, options), measure);
}

/** The program graphs, which are equal on all targets → kernels and manifest of one. */
export function compileFor(target: Target, spec: Spec, programs: Programs, measure = unmeasured): Build {
  const fused = measure("fuse", () => programs.graphs.map(fuse));
  const tileOf = tileChooser(spec.tiles, countsOf(spec), target);
  const plan = measure("plan", () => planTarget({ target, graphs: fused, updates: new Set(["update"]), tileOf }));
  const kernels = measure("render", () => renderKernels(plan, spec.name));
  const manifest: Manifest = measure("manifest", () => ({
    ...targetManifest(plan, kernels),
    ...modelManifest(spec, programs.model, countsOf(spec)),
  }));
  const stages = [...programs.stages, { stage: "fuse", graphs: fused }];
  const notes = [...programs.notes, ...plan.notes];
  return { spec, programs: { ...programs, stages }, plan, kernels: kernels.files, manifest, notes };
}
