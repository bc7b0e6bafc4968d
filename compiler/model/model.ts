// Spec → the forward graphs: `sequence` for training and evaluation, `extend` for serving.

import { type Graph, GraphBuilder } from "../graph/graph.ts";
import { dim, tensor } from "../graph/types.ts";
import { gather } from "../ops/gather.ts";
import { emitterFor } from "../ops/index.ts";
import { linear } from "../ops/linear.ts";
import { linearCrossEntropy } from "../ops/linear-cross-entropy.ts";
import type { Diagnostics } from "../source/diagnostic.ts";
import type { Spec } from "../spec/spec.ts";
import { type ModelContext, place } from "./context.ts";
import { SpecFormulas } from "./formulas.ts";
import { type Parameter, ParameterList } from "./parameters.ts";
import { emitTransformer, headWeight } from "./transformer.ts";

export interface Model {
  /** Losses per token of micro-batches of packed sequences; undefined for a spec that does not train. */
  readonly sequence: Graph | undefined;
  /** Logits of chosen rows of new tokens, over the paged cache. */
  readonly extend: Graph;
  readonly parameters: readonly Parameter[];
}

/** Builds both graphs; what is wrong with the spec's formulas is added to the diagnostics. */
export function buildModel(spec: Spec, diagnostics: Diagnostics): Model {
  const parameters = new ParameterList();
  const formulas = new SpecFormulas(diagnostics, spec.train !== undefined);
  const context = (name: string): ModelContext => {
    return { model: spec.model, emitter: emitterFor(new GraphBuilder(name)), parameters, formulas };
  };
  const sequence = spec.train && buildSequence(context("sequence"), spec.train.batch.micro, spec.train.sequence);
  const extend = buildExtend(context("extend"), spec);
  return { sequence, extend, parameters: parameters.all };
}

function buildSequence(context: ModelContext, sequences: number, sequence: number): Graph {
  const { builder } = context.emitter;
  const tokens = dim("tokens", sequences * sequence);
  const input = (name: string) => builder.give(name, tensor("i32", tokens), "input");
  const form = { kind: "sequence", sequence, positions: input("positions"), documents: input("documents") } as const;
  const hidden = emitTransformer(context, input("tokens"), form);
  const at = place("loss", "model.vocab");
  const inputs = [hidden, headWeight(context), input("targets")];
  const [losses] = context.emitter.emit(linearCrossEntropy, inputs, null, at);
  return builder.build(new Map([["losses", losses]]));
}

/** Fields of a row tile: sequence, first row, rows, keys. */
const rowTileFields = 4;

function buildExtend(context: ModelContext, spec: Spec): Graph {
  const { builder } = context.emitter;
  const { serve, model } = spec;
  const tokens = dim("tokens", serve.tokens, "tokens");
  const outputs = dim("outputs", serve.tokens, "outputs");
  const tiles = dim("tiles", serve.tokens, "tiles");
  const table = dim("table", Math.ceil(model.context / serve.page));
  const input = (name: string, ...dims: Parameters<typeof tensor>[1][]) =>
    builder.give(name, tensor("i32", ...dims), "input");
  const form = {
    kind: "extend",
    positions: input("positions", tokens),
    slots: input("slots", tokens),
    pageTable: input("page_table", dim("sequences", serve.sequences), table),
    rowTiles: input("row_tiles", tiles, dim("tile_fields", rowTileFields)),
    page: serve.page,
    cacheSlots: serve.pages * serve.page,
  } as const;
  const hidden = emitTransformer(context, input("tokens", tokens), form);
  const at = place("head", "model.vocab", "linear");
  const [rows] = context.emitter.emit(gather, [hidden, input("output_rows", outputs)], null, at);
  const [logits] = context.emitter.emit(linear, [rows, headWeight(context)], { accumulates: false }, at);
  return builder.build(new Map([["logits", logits]]));
}
