// A Spec → config.json of transformers' Llama, in the spelling of transformers 5. What a Llama of theirs cannot compute is
// refused with its place: a config that is nearly right would load and write nonsense.

import { printFormulaSyntax } from "../formula/print-syntax.ts";
import type { Diagnostics } from "../source/diagnostic.ts";
import * as say from "../source/messages/hugging-face.ts";
import { activationFormulas } from "./hugging-face-activations.ts";
import { asGqa, type LayerSpec, type RopeSpec, type Spec, type SpecFormula } from "./spec.ts";

/** What a config says besides the model; null where there is no such token. */
export interface ConfigContext {
  readonly dtype: string;
  readonly bos: number | null;
  readonly eos: number | null;
  /** Keys of the config that the model was imported with; those that the spec says are replaced. */
  readonly kept: Readonly<Record<string, unknown>>;
}

/** The text of config.json; undefined where something cannot be said, which is added to the diagnostics. */
export function configText(spec: Spec, context: ConfigContext, diagnostics: Diagnostics): string | undefined {
  const { model } = spec;
  const [layer] = model.layers;
  checkLayers(spec, diagnostics);
  const activation = activationName(layer.ffn.activation);
  if (activation === undefined) diagnostics.add(unknownFormula(spec, layer.ffn.activation));
  if (diagnostics.hasErrors) return undefined;
  const defaults = {
    attention_dropout: 0,
    bos_token_id: context.bos,
    eos_token_id: context.eos,
    initializer_range: 0.02,
    pad_token_id: null,
    use_cache: true,
  };
  const { torch_dtype: _dtype, rope_theta: _theta, rope_scaling: _scaling, ...kept } = context.kept;
  const config: Readonly<Record<string, unknown>> = {
    ...defaults,
    ...kept,
    architectures: ["LlamaForCausalLM"],
    attention_bias: false,
    dtype: context.dtype,
    head_dim: asGqa(layer.attention).headDim,
    // Several names mean one function; what was imported keeps its own.
    hidden_act: isSameActivation(kept.hidden_act, activation) ? kept.hidden_act : activation,
    hidden_size: model.width,
    intermediate_size: layer.ffn.intermediate,
    max_position_embeddings: model.context,
    mlp_bias: false,
    model_type: "llama",
    num_attention_heads: layer.attention.heads,
    num_hidden_layers: model.layers.length,
    num_key_value_heads: asGqa(layer.attention).kvHeads,
    rms_norm_eps: model.norm.eps,
    rope_parameters: ropeParameters(layer.attention.rope),
    tie_word_embeddings: model.tieEmbeddings,
    vocab_size: model.vocab,
  };
  const sorted = Object.fromEntries(Object.entries(config).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return `${withPoints(JSON.stringify(sorted, undefined, 2))}\n`;
}

const isSameActivation = (kept: unknown, activation: string | undefined): boolean =>
  typeof kept === "string" && activationFormulas.get(kept) === activationFormulas.get(activation ?? "");

function ropeParameters({ theta, llama3 }: RopeSpec): Readonly<Record<string, number | string>> {
  if (llama3 === undefined) return { rope_theta: theta, rope_type: "default" };
  return {
    factor: llama3.factor,
    high_freq_factor: llama3.highFreqFactor,
    low_freq_factor: llama3.lowFreqFactor,
    original_max_position_embeddings: llama3.original,
    rope_theta: theta,
    rope_type: "llama3",
  };
}

/** transformers warns where a factor is no float, and to JavaScript 8 and 8.0 are the same. */
const withPoints = (json: string): string =>
  json.replace(/^(\s*"(?:attention_dropout|rope_theta|(?:\w+_)?factor)": \d+)(?=,?$)/gm, "$1.0");

/** All of it is one shape in a Llama of theirs: layers alike, halves that turn, plain scores and causal masks. */
function checkLayers({ model, placeOf }: Spec, diagnostics: Diagnostics): void {
  const [first] = model.layers;
  const other = model.layers.findIndex((layer) => layerText(layer) !== layerText(first));
  if (other > 0) {
    diagnostics.add(
      say.notExportable(`layer ${other} is not as layer 0`, "a Llama's layers are all alike", placeOf("model.layers")),
    );
  }
  const { rope, score, mask, heads } = first.attention;
  if (model.width % heads !== 0) {
    const what = `the width ${model.width} is not a multiple of ${heads} heads`;
    const why = "transformers loads no such Llama, whatever `head_dim` is";
    diagnostics.add(say.notExportable(what, why, placeOf("model.width")));
  }
  if (rope.layout !== "half") {
    const at = placeOf("model.attention.rope.layout");
    diagnostics.add(say.notExportable("neighbouring channels turn together", "a Llama turns halves", at));
  }
  if (printFormulaSyntax(score.syntax) !== "s") {
    const what = `the attention score is \`${printFormulaSyntax(score.syntax)}\``;
    diagnostics.add(say.notExportable(what, "a Llama's is plain", placeOf(score.key)));
  }
  if (!causalMasks.has(printFormulaSyntax(mask.syntax))) {
    const what = `the mask is \`${printFormulaSyntax(mask.syntax)}\``;
    diagnostics.add(say.notExportable(what, "a Llama sees its whole context", placeOf(mask.key)));
  }
}

/** A text of one document sees the same with the second as with the first. */
const causalMasks = new Set(["k <= q", "k <= q && same_document", "same_document && k <= q"]);

/** Everything of a layer in which two can differ. */
function layerText({ attention, ffn }: LayerSpec): string {
  const { heads, kvHeads, headDim, rope, score, mask } = asGqa(attention);
  const formulas = [score, mask, ffn.activation].map(({ syntax }) => printFormulaSyntax(syntax));
  return JSON.stringify([heads, kvHeads, headDim, rope, ffn.intermediate, ...formulas]);
}

function activationName({ syntax, definitions }: SpecFormula): string | undefined {
  const text = printFormulaSyntax(syntax);
  // A formula of the spec's own may have the name of one that transformers knows.
  if ([...definitions.keys()].some((name) => new RegExp(`\\b${name}\\(`).test(text))) return undefined;
  const names = [...activationFormulas].flatMap(([name, formula]): [string, string][] => {
    const turned = /^(.*) \* up$/.exec(formula)?.[1];
    return [
      [formula, name],
      [`up * ${turned}`, name],
    ];
  });
  return names.find(([formula]) => formula === text)?.[1];
}

function unknownFormula({ placeOf }: Spec, { syntax, key }: SpecFormula) {
  const what = `the activation is \`${printFormulaSyntax(syntax)}\``;
  const known = [...new Set(activationFormulas.values())].join("`, `");
  return say.notExportable(what, `transformers has a name only for \`${known}\``, placeOf(key));
}
