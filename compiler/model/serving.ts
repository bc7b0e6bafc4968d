// Spec → the graphs of serving: new tokens over the paged cache, and one more token drafted behind them.

import type { Graph, Value } from "../graph/graph.ts";
import { type Dim, dim, tensor } from "../graph/types.ts";
import { gather, scatterStore } from "../ops/gather.ts";
import { linear } from "../ops/linear.ts";
import type { Spec } from "../spec/spec.ts";
import type { ExtendForm } from "./attention-form.ts";
import { type ModelContext, place } from "./context.ts";
import { emitMtpModule } from "./several-tokens.ts";
import { emitTransformer, headWeight } from "./transformer.ts";

/** Fields of a row tile: sequence, first row, rows, keys. */
const rowTileFields = 4;

/** `givesHidden`: the residual stream before every layer and behind the last norm are results, too, `hidden.0` and on. */
export function buildServing(context: (name: string) => ModelContext, spec: Spec, givesHidden: boolean): Graph[] {
  const extend = buildExtend(context("extend"), spec, givesHidden);
  return spec.model.mtp === undefined ? [extend] : [extend, buildDraft(context("draft"), spec)];
}

/** Logits of chosen rows; hidden states of all rows are kept where a draft begins from them. */
function buildExtend(context: ModelContext, spec: Spec, givesHidden: boolean): Graph {
  const { emitter } = context;
  const form = giveForm(context, spec);
  const states: Value[] = [];
  const tokens = giveIds(context, "tokens", tokensDim(spec));
  const hidden = emitTransformer(context, tokens, form, (x) => states.push(x));
  states.push(hidden);
  if (spec.model.mtp !== undefined) {
    const state = emitter.builder.give(hiddenState, hidden.type, "state");
    const rows = giveIds(context, "row_numbers", tokensDim(spec));
    emitter.emit(scatterStore, [hidden, rows, state], null, place("mtp[0].hidden_norm", "model.mtp"));
  }
  const seen = givesHidden ? states.map((state, i) => [`hidden.${i}`, state] as const) : [];
  return emitter.builder.build(new Map([["logits", emitHead(context, spec, hidden)], ...seen]));
}

/** Hidden states of the rows of the last `extend`. */
const hiddenState = "draft.hidden";

/** Logits of the token behind the next one: from what `extend` kept, and the tokens that came next. */
function buildDraft(context: ModelContext, spec: Spec): Graph {
  const { emitter, model } = context;
  const form = giveForm(context, spec);
  const type = tensor("f32", tokensDim(spec), dim("width", model.width));
  const before = emitter.builder.give(hiddenState, type, "state");
  const tokens = giveIds(context, "tokens", tokensDim(spec));
  const hidden = model.mtp && emitMtpModule(context, model.mtp, 0, before, tokens, form);
  return emitter.builder.build(new Map([["logits", emitHead(context, spec, hidden ?? before)]]));
}

const tokensDim = ({ serve }: Spec): Dim => dim("tokens", serve.tokens, "tokens");

const giveIds = ({ emitter }: ModelContext, name: string, ...dims: readonly Dim[]): Value =>
  emitter.builder.give(name, tensor("i32", ...dims), "input");

function giveForm(context: ModelContext, spec: Spec): ExtendForm {
  const { serve, model } = spec;
  const tokens = tokensDim(spec);
  const table = dim("table", Math.ceil(model.context / serve.page));
  const tiles = dim("tiles", serve.tokens, "tiles");
  return {
    kind: "extend",
    positions: giveIds(context, "positions", tokens),
    slots: giveIds(context, "slots", tokens),
    pageTable: giveIds(context, "page_table", dim("sequences", serve.sequences), table),
    rowTiles: giveIds(context, "row_tiles", tiles, dim("tile_fields", rowTileFields)),
    page: serve.page,
    cacheSlots: serve.pages * serve.page,
  };
}

function emitHead(context: ModelContext, { serve }: Spec, hidden: Value): Value {
  const { emitter } = context;
  const at = place("head", "model.vocab", "linear");
  const wanted = giveIds(context, "output_rows", dim("outputs", serve.tokens, "outputs"));
  const [rows] = emitter.emit(gather, [hidden, wanted], null, at);
  return emitter.emit(linear, [rows, headWeight(context)], { accumulates: false }, at)[0];
}
