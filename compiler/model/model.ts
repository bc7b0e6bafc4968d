// Spec → the forward graphs: `sequence` for training and evaluation, `extend` for serving.

import { type Graph, GraphBuilder, type Value } from "../graph/graph.ts";
import { dim, tensor } from "../graph/types.ts";
import { emitterFor } from "../ops/index.ts";
import { linearCrossEntropy } from "../ops/linear-cross-entropy.ts";
import type { Diagnostics } from "../source/diagnostic.ts";
import type { MtpSpec, Spec, TrainSpec } from "../spec/spec.ts";
import type { AttentionForm } from "./attention-form.ts";
import { type ModelContext, place, type RouterValues } from "./context.ts";
import { SpecFormulas } from "./formulas.ts";
import { addRouterObjectives, type Objective, type Objectives } from "./objectives.ts";
import { type Parameter, ParameterList } from "./parameters.ts";
import { buildServing } from "./serving.ts";
import { emitMtpModule } from "./several-tokens.ts";
import { emitTransformer, headWeight } from "./transformer.ts";

export interface Model {
  /** Losses per token of micro-batches of packed sequences; undefined for a spec that does not train. */
  readonly sequence: Graph | undefined;
  /** What is minimised besides the loss of the next token. */
  readonly objectives: readonly Objective[];
  /** Routers in the order of the layers. */
  readonly routers: readonly Pick<RouterValues, "path" | "moe">[];
  /** `extend`: logits of chosen rows of new tokens, over the paged cache; `draft`, if tokens further ahead are predicted. */
  readonly serving: readonly Graph[];
  readonly parameters: readonly Parameter[];
}

export interface ModelOptions {
  /** Serving also gives what goes into each layer and what the final norm gives: `hidden.0`, `hidden.1` and so on. */
  readonly givesHidden?: boolean;
}

/** Builds both graphs; what is wrong with the spec's formulas is added to the diagnostics. */
export function buildModel(spec: Spec, diagnostics: Diagnostics, { givesHidden = false }: ModelOptions = {}): Model {
  const parameters = new ParameterList();
  const formulas = new SpecFormulas(diagnostics, spec.train !== undefined);
  const context = (name: string): ModelContext => {
    return { model: spec.model, emitter: emitterFor(new GraphBuilder(name)), parameters, formulas, routers: [] };
  };
  const training = context("sequence");
  const objectives: Objectives = { results: new Map(), all: [] };
  const sequence = spec.train && buildSequence(training, spec.train, objectives);
  const serving = buildServing(context, spec, givesHidden);
  return { sequence, objectives: objectives.all, routers: training.routers, serving, parameters: parameters.all };
}

function buildSequence(context: ModelContext, { batch, sequence }: TrainSpec, objectives: Objectives): Graph {
  const { builder } = context.emitter;
  const tokens = dim("tokens", batch.micro * sequence);
  const input = (name: string) => builder.give(name, tensor("i32", tokens), "input");
  const form = { kind: "sequence", sequence, positions: input("positions"), documents: input("documents") } as const;
  const hidden = emitTransformer(context, input("tokens"), form);
  const at = place("loss", "model.vocab");
  const inputs = [hidden, headWeight(context), input("targets")];
  const [losses] = context.emitter.emit(linearCrossEntropy, inputs, null, at);
  objectives.results.set("losses", losses);
  if (context.model.mtp !== undefined) addMtpLosses(context, context.model.mtp, hidden, form, objectives);
  addRouterObjectives(context, sequence, objectives);
  return builder.build(objectives.results);
}

/** Losses of the tokens further ahead; the host says which tokens follow, and which of them count. */
function addMtpLosses(
  context: ModelContext,
  mtp: MtpSpec,
  hidden: Value,
  form: AttentionForm,
  { results, all }: Objectives,
): void {
  const { emitter } = context;
  let before = hidden;
  for (let depth = 0; depth < mtp.depth; depth++) {
    const input = (name: string) => emitter.builder.give(`mtp.${depth}.${name}`, form.positions.type, "input");
    before = emitMtpModule(context, mtp, depth, before, input("tokens"), form);
    const at = place(`mtp[${depth}].loss`, "model.mtp");
    const [losses] = emitter.emit(linearCrossEntropy, [before, headWeight(context), input("targets")], null, at);
    results.set(`mtp.${depth}`, losses);
    if (mtp.weight === undefined) continue;
    all.push({
      result: `mtp.${depth}`,
      seed: `step.mtp.${depth}`,
      schedule: mtp.weight,
      per: "mtp_target",
      terms: mtp.depth,
      summed: 1,
    });
  }
}
