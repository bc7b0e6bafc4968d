// The rules of a spec, resolved: precision, tiles, recompute, initial weights, weight decay. What they match is known
// only when the operations are.

import { parseDistribution, parsePrecision } from "../formula/parse.ts";
import { printSelector } from "../formula/print-syntax.ts";
import type { FormatSyntax, PrecisionSyntax } from "../formula/syntax.ts";
import type { Diagnostics } from "../source/diagnostic.ts";
import * as sayKey from "../source/messages/key.ts";
import * as say from "../source/messages/rule.ts";
import type { ExpressionText, Place } from "../source/text.ts";
import type { YamlNode, YamlScalar } from "../source/yaml-node.ts";
import { floatFault } from "./scalar-fault.ts";
import type { Section } from "./section.ts";
import { everyOperation, readSelector, type Selector } from "./selector.ts";
import type { Distribution, Format, PrecisionProgram, PrecisionRule, RecomputeRule, Signature } from "./spec.ts";

const formats: readonly Format[] = ["f32", "bf16"];
/** What partial sums are added in. */
const accumulators: readonly Format[] = ["f32"];

interface Recipe {
  /** The rule for all operations. */
  readonly signature: Signature;
  /** Rules for some, by the names of what they are about. */
  readonly exceptions: readonly { readonly names: readonly string[]; readonly signature: Signature }[];
}

const onlyF32: Signature = { operands: ["f32"], accumulator: "f32", result: "f32" };

/** bf16 loses choices of experts that lie close together, and a loss's last digits: DeepSeek-V3, arXiv:2412.19437, section 3.3.1. */
const recipes: ReadonlyMap<string, Recipe> = new Map<string, Recipe>([
  ["f32", { signature: onlyF32, exceptions: [] }],
  [
    "bf16",
    {
      signature: { operands: ["bf16"], accumulator: "f32", result: "bf16" },
      exceptions: [
        { names: ["router"], signature: onlyF32 },
        { names: ["head", "loss"], signature: { operands: ["bf16", "bf16"], accumulator: "f32", result: "f32" } },
      ],
    },
  ],
]);

/** One entry of a map of rules. */
export interface Entry {
  readonly selector: Selector;
  readonly value: YamlScalar;
  readonly key: string;
}

/** The entries of a map from selectors, in order; the same selector must not stand twice. */
export function readEntries(
  section: Section,
  node: YamlNode | undefined,
  path: string,
  directions: "with" | "without",
): Entry[] {
  const { diagnostics, faulty } = section.reading;
  if (node?.kind !== "map") return [];
  const seen = new Map<string, Place>();
  const entries: Entry[] = [];
  for (const [name, { key, value }] of node.entries) {
    const selector = readSelector(key.text, `${directions} directions`, diagnostics);
    if (selector === undefined || value.kind !== "scalar" || faulty.has(value)) continue;
    const printed = `${printSelector(selector.syntax)} ${selector.directions?.join()}`;
    const earlier = seen.get(printed);
    if (earlier !== undefined) diagnostics.add(say.selectorTwice(name, key.place, earlier));
    seen.set(printed, key.place);
    entries.push({ selector, value, key: `${path}.${name}` });
  }
  return entries;
}

/** The common rules, and behind them those of the sections that are for one program. */
export function readPrecision(
  root: Section,
  own: Readonly<Partial<Record<PrecisionProgram, Section>>>,
): PrecisionRule[] {
  const common = root.node("precision")?.kind === "list" ? precisionRules(root) : defaultPrecision(root);
  const programs = Object.entries(own) as [PrecisionProgram, Section][];
  return [
    ...common,
    ...programs.flatMap(([program, section]) => precisionRules(section).map((rule) => ({ ...rule, program }))),
  ];
}

function precisionRules(section: Section): PrecisionRule[] {
  const { diagnostics, faulty } = section.reading;
  const node = section.isGiven("precision") ? section.node("precision") : undefined;
  if (node?.kind !== "list") return [];
  return node.items.flatMap((item, i): PrecisionRule[] => {
    const key = `${section.pathOf("precision")}[${i}]`;
    if (item.kind === "scalar" && typeof item.value === "string" && !faulty.has(item)) {
      const rules = recipeRules(item.value, item.place, key);
      if (rules.length === 0) diagnostics.add(say.unknownRecipe(item.value, [...recipes.keys()], item.place));
      return rules;
    }
    return readEntries(section, item, key, "with").flatMap(({ selector, value }) => {
      const syntax = parsePrecision(value.text, diagnostics);
      const signature = syntax && signatureOf(syntax, value.text, diagnostics);
      return signature === undefined ? [] : [{ selector, signature, key }];
    });
  });
}

function defaultPrecision(root: Section): PrecisionRule[] {
  return root.fallbackItems("precision").flatMap((name, i) => recipeRules(name, root.place, `precision[${i}]`));
}

/** The rules of a recipe, the one for all first; none where no recipe has the name. */
function recipeRules(recipe: string, place: Place, key: string): PrecisionRule[] {
  const found = recipes.get(recipe);
  if (found === undefined) return [];
  const { signature, exceptions } = found;
  return [
    { selector: everyOperation(place), signature, key, recipe },
    ...exceptions.map((rule): PrecisionRule => {
      return { selector: named(rule.names, place), signature: rule.signature, key, isImplied: true };
    }),
  ];
}

function signatureOf(syntax: PrecisionSyntax, text: ExpressionText, diagnostics: Diagnostics): Signature | undefined {
  const { operands, stages } = syntax;
  const isOneFormat = operands.length === 1 && stages.length === 0;
  if (!isOneFormat && stages.length !== 2) {
    diagnostics.add(say.wrongStages(stages.length, text.place(syntax.span)));
    return undefined;
  }
  const unknown = [...operands, ...stages].find(({ name }) => name !== "_" && formatOf(name) === undefined);
  if (unknown !== undefined) {
    diagnostics.add(say.unknownFormat(unknown.name, formats, text.place(unknown.span)));
    return undefined;
  }
  const read = ({ name }: FormatSyntax) => formatOf(name);
  if (isOneFormat) {
    const only = read(operands[0]);
    return { operands: [only], accumulator: only && accumulators[0], result: only };
  }
  const [accumulator, result] = stages;
  const sum = read(accumulator);
  if (sum !== undefined && !accumulators.includes(sum)) {
    diagnostics.add(say.accumulatorFormat(sum, accumulators, text.place(accumulator.span)));
    return undefined;
  }
  return { operands: operands.map(read), accumulator: sum, result: read(result) };
}

function formatOf(name: string): Format | undefined {
  return formats.find((format) => format === name);
}

export function readRecompute(root: Section): RecomputeRule[] {
  const node = root.node("recompute");
  if (node?.kind !== "list") return [];
  return node.items.flatMap((item, i) => {
    if (item.kind !== "scalar" || root.reading.faulty.has(item)) return [];
    const selector = readSelector(item.text, "without directions", root.reading.diagnostics);
    return selector === undefined ? [] : [{ selector, key: `recompute[${i}]` }];
  });
}

interface InitRule {
  readonly selector: Selector;
  readonly distribution: Distribution;
  readonly key: string;
}

/**
 * The distributions of initial weights: a default for all, ones for norms, then what the file says.
 *
 * A first rule for all takes the place of the default, so norms begin at one unless a rule names them.
 */
export function readInit(train: Section): InitRule[] {
  const node = train.isGiven("init") ? train.node("init") : undefined;
  const path = train.pathOf("init");
  const entries = readEntries(train, node, path, "without");
  const rules = entries.flatMap(({ selector, value, key }) => initRule(train, selector, value.text, key));
  const text = node?.kind === "scalar" ? node.text : train.fallback("init");
  const first = rules.length > 0 && isNamed(rules[0].selector, "all") ? rules.splice(0, 1) : [];
  const all = first.length > 0 || text === undefined ? first : initRule(train, everyOperation(train.place), text, path);
  if (rules.some(({ selector }) => isNamed(selector, "norm"))) return [...all, ...rules];
  return [...all, { selector: named(["norm"], train.place), distribution: { kind: "ones" }, key: path }, ...rules];
}

function isNamed({ syntax }: Selector, name: string): boolean {
  return printSelector(syntax) === name;
}

function named(names: readonly string[], place: Place): Selector {
  const { syntax, ...rest } = everyOperation(place);
  const alternatives = syntax.alternatives.map((path) => ({
    ...path,
    steps: path.steps.map((step) => ({ ...step, names })),
  }));
  return { ...rest, syntax: { ...syntax, alternatives } };
}

function initRule(train: Section, selector: Selector, text: ExpressionText, key: string): InitRule[] {
  const { diagnostics } = train.reading;
  const syntax = parseDistribution(text, diagnostics);
  if (syntax === undefined) return [];
  const values = syntax.arguments.map((argument) => train.evaluate(argument, text, key));
  const [first, second] = values;
  const place = text.place(syntax.span);
  const known = values.filter((value) => value !== undefined);
  if (known.length < values.length) return [];
  const faults = known.map((value) => floatFault(value, { kind: "real", isFloat: true }, key, String(value), place));
  const fault = faults.find((found) => found !== undefined);
  if (fault !== undefined) {
    diagnostics.add(fault);
    return [];
  }
  switch (syntax.kind) {
    case "normal":
      if (first !== undefined && first >= 0)
        return [{ selector, distribution: { kind: "normal", standardDeviation: first }, key }];
      diagnostics.add(sayKey.outOfRange("a standard deviation", String(first), { least: 0 }, place));
      return [];
    case "uniform":
      if (first !== undefined && second !== undefined && first <= second) {
        return [{ selector, distribution: { kind: "uniform", low: first, high: second }, key }];
      }
      diagnostics.add(sayKey.outOfRange("the upper bound", String(second), { least: first ?? 0 }, place));
      return [];
    default:
      return [{ selector, distribution: { kind: syntax.kind }, key }];
  }
}

/** Weight decay by selector; one number is a rule for all. */
export function readWeightDecay(optimizer: Section): { selector: Selector; value: number; key: string }[] {
  const node = optimizer.node("weight_decay");
  const path = optimizer.pathOf("weight_decay");
  if (node?.kind !== "map") {
    const value = optimizer.number("weight_decay");
    return value === undefined
      ? []
      : [{ selector: everyOperation(optimizer.placeOf("weight_decay")), value, key: path }];
  }
  return readEntries(optimizer, node, path, "without").flatMap(({ selector, value: { text }, key }) => {
    const value = optimizer.numberOf(text, { kind: "real", least: 0, isFloat: true }, key);
    return value === undefined ? [] : [{ selector, value, key }];
  });
}
