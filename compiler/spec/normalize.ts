// A Spec back to YAML: defaults filled in, sizes evaluated, keys in the order of the schema. Reading the text again
// gives the same Spec, and printing that the same text.

import { stringify } from "yaml";
import { printFormulaSyntax, printNumber, printSelector } from "../formula/print-syntax.ts";
import { modelMap } from "./normalize-model.ts";
import { type Ordered, ordered, scheduleValue } from "./ordered.ts";
import { languageVersion } from "./schema.ts";
import type { Selector } from "./selector.ts";
import type { DataSpec, Distribution, PrecisionProgram, PrecisionRule, Spec, TileTarget, TrainSpec } from "./spec.ts";

export function normalizeSpec(spec: Spec): string {
  const { name, model, precision, tiles, recompute, data, train, serve } = spec;
  const definitions = [...model.layers[0].attention.score.definitions.values()];
  const formulas = definitions.map((definition) => [definition.name, printFormulaSyntax(definition.syntax)] as const);
  const ownRules = (program: PrecisionProgram) => {
    const list = precisionList(precision, program);
    return list.length > 0 ? list : undefined;
  };
  const serveEntries = (["sequences", "tokens", "page", "pages"] as const).map((key) => [key, serve[key]] as const);
  const document = ordered(
    ["mspec", languageVersion],
    ["name", name],
    ["formulas", formulas.length > 0 ? ordered(...formulas) : undefined],
    ["model", modelMap(model, train?.steps)],
    ["precision", precisionList(precision, undefined)],
    ["tiles", tiles.length > 0 ? tilesMap(tiles) : undefined],
    ["recompute", recompute.map(({ selector }) => selectorText(selector))],
    ["data", data && dataMap(data)],
    ["train", train && ordered(...trainMap(train), ["precision", ownRules("train")])],
    ["evaluate", ownRules("evaluate") && ordered(["precision", ownRules("evaluate")])],
    ["serve", ordered(...serveEntries, ["precision", ownRules("serve")])],
  );
  return stringify(document, { lineWidth: 0 });
}

function tilesMap(tiles: Spec["tiles"]): Ordered {
  const of = (target: TileTarget) => {
    const own = tiles.filter((rule) => rule.target === target);
    const entries = own.map(({ selector, tile }) => {
      return [selectorText(selector), `${tile.rows}x${tile.columns}x${tile.depth}`] as const;
    });
    return entries.length > 0 ? ordered(...entries) : undefined;
  };
  return ordered(["wasm", of("wasm")], ["wgsl", of("wgsl")]);
}

function dataMap({ tokenizer, train, validation, skipBadLines }: DataSpec): Ordered {
  return ordered(
    ["tokenizer", tokenizer],
    ["train", train],
    ["validation", validation],
    ["skip_bad_lines", skipBadLines],
  );
}

function trainMap(train: TrainSpec): Ordered {
  const { batch, steps, optimizer, clip } = train;
  const decay = optimizer.weightDecay.map(({ selector, value }) => [selectorText(selector), value] as const);
  const init = train.init.map(({ selector, distribution }) => {
    return [selectorText(selector), distributionText(distribution)] as const;
  });
  return ordered(
    ["sequence", train.sequence],
    ["batch", ordered(["sequences", scheduleValue(batch.sequences, steps)], ["micro", batch.micro])],
    ["steps", steps],
    [
      "optimizer",
      ordered(
        ["kind", optimizer.kind],
        ["betas", optimizer.betas],
        ["eps", optimizer.eps],
        ["weight_decay", ordered(...decay)],
      ),
    ],
    ["lr", scheduleValue(train.learningRate, steps)],
    ["clip", clip && scheduleValue(clip, steps)],
    ["init", ordered(...init)],
    ["seed", train.seed],
    ["evaluate_every", train.evaluateEvery],
    ["save_every", train.saveEvery],
    ["sample_every", train.sampleEvery],
  );
}

/** The text of a selector with its directions. */
export function selectorText({ syntax, directions }: Selector): string {
  if (directions === undefined) return printSelector(syntax);
  const last = directions.length === 1 ? directions[0] : `{${directions.join(",")}}`;
  return syntax.alternatives
    .map((path) => [...(path.steps.length === 0 ? [] : [printSelector({ ...syntax, alternatives: [path] })]), last])
    .map((parts) => parts.join("."))
    .join(", ");
}

const precisionList = (rules: readonly PrecisionRule[], program: PrecisionProgram | undefined) =>
  rules.filter((rule) => rule.program === program && rule.isImplied !== true).map(precisionEntry);

function precisionEntry({ selector: about, signature, recipe }: PrecisionRule): string | Ordered {
  if (recipe !== undefined) return recipe;
  const { operands, accumulator, result } = signature;
  const selector = selectorText(about);
  const words = (format: string | undefined) => format ?? "_";
  const [only] = operands;
  const isOneFormat = operands.length === 1 && result === only && accumulator === (only && "f32");
  if (isOneFormat && selector === "all" && only === "f32") return only;
  if (isOneFormat) return ordered([selector, words(only)]);
  return ordered([selector, [operands.map(words).join(" * "), words(accumulator), words(result)].join(" -> ")]);
}

function distributionText(distribution: Distribution): string {
  switch (distribution.kind) {
    case "normal":
      return `normal(${printNumber(distribution.standardDeviation)})`;
    case "uniform":
      return `uniform(${printNumber(distribution.low)}, ${printNumber(distribution.high)})`;
    default:
      return distribution.kind;
  }
}
