// Ops that are only their formula: reference, bounds, gradient, kernels and fusion all follow from it.

import { buildFormula, type Parameter } from "../formula/build.ts";
import { differentiateFormula } from "../formula/derivative.ts";
import type { Formula, FormulaOutput } from "../formula/formula.ts";
import { parseFormula } from "../formula/parse.ts";
import { printFormula } from "../formula/print.ts";
import { ELEMENT, type Extent, operands, postorder, ROW } from "../formula/terms.ts";
import type { Node, NodePlace, Value } from "../graph/graph.ts";
import { signature } from "../graph/shapes.ts";
import { elementCount, type TensorType } from "../graph/types.ts";
import { Diagnostics, invariant } from "../source/diagnostic.ts";
import { standaloneExpression } from "../source/text.ts";
import {
  type Absorption,
  attributesOf,
  type Emitter,
  type FormatPorts,
  type Gradient,
  type GradientRequest,
  type Op,
  type OutputPort,
  placeOf,
  type RecomputeClass,
} from "./contract.ts";
import {
  boundBinding,
  evaluateBinding,
  extentOfInput,
  extentOfOutput,
  type FormulaBinding,
  type PortView,
  plainView,
} from "./formula-binding.ts";

/** An op's own formula by its constants; each is built once, when it is first needed. */
export function formulaOf(
  name: string,
  text: string,
  parameters: readonly Parameter[],
  extent?: Extent,
): (constants?: Readonly<Record<string, number>>) => Formula {
  const built = new Map<string, Formula>();
  return (constants = {}) => {
    const key = JSON.stringify(constants);
    const known = built.get(key);
    if (known !== undefined) return known;
    const diagnostics = new Diagnostics();
    const source = standaloneExpression(name, text);
    const syntax = parseFormula(source, diagnostics);
    const request = { text: source, parameters, constants, diagnostics, output: "y", ...(extent && { extent }) };
    const formula = syntax && buildFormula({ ...request, syntax });
    invariant(formula, `formula of ${name}: ${diagnostics.all.map((d) => d.claim).join("; ")}`);
    built.set(key, formula);
    return formula;
  };
}

export interface FormulaOpDefinition<A> {
  readonly name: string;
  readonly summary: string;
  readonly source: string;
  readonly shapes: string;
  readonly infer: Op<A>["infer"];
  /** One formula, or several that write parts of the outputs: together they write all of them, none writes another's. */
  readonly bind: (attributes: A, inputs: readonly TensorType[]) => FormulaBinding | readonly FormulaBinding[];
  /** The input whose gradient is the only output's adjoint as it is. */
  readonly passes?: number;
  /** Outputs that the backward pass reads instead of computing them again. */
  readonly keep?: readonly string[];
  readonly inPlace?: Op["inPlace"];
  /** Inputs that a precision rule may have rounded before they are read; all whole rows, if it does not say. */
  readonly rounds?: readonly number[];
  readonly recompute?: RecomputeClass;
  readonly gradient?: Op["gradient"];
  readonly absorbable?: Op["absorbable"];
}

/** What nodes made from formulas carry: derivatives, and fusions. */
export interface DerivedAttributes {
  /** Such as `rms_norm_backward`: names the kernel. */
  readonly label: string;
  readonly summary: string;
  readonly source: string;
  readonly bindings: readonly FormulaBinding[];
  readonly outputs: readonly OutputPort[];
}

export function defineFormulaOp<A>(definition: FormulaOpDefinition<A>): Op<A> {
  const known = new WeakMap<Node, readonly FormulaBinding[]>();
  const bindingsOf = (node: Node): readonly FormulaBinding[] => {
    let bindings = known.get(node);
    if (bindings === undefined) {
      const types = node.inputs.map((value) => value.type);
      bindings = [definition.bind(attributesOf(op, node), types)].flat();
      known.set(node, bindings);
    }
    return bindings;
  };
  const gradient: Gradient = {
    kind: "separate",
    build: (request) => emitDerivative(request, bindingsOf(request.node), definition),
  };
  const op: Op<A> = {
    name: definition.name,
    summary: definition.summary,
    formula: (node) =>
      bindingsOf(node)
        .map(({ formula }) => printFormula(formula))
        .join("; "),
    source: definition.source,
    shapes: definition.shapes,
    infer: definition.infer,
    inPlace: definition.inPlace ?? [],
    reference: (inputs, node) => sumOfParts(bindingsOf(node).map((b) => evaluateBinding(b, inputs, node))),
    bounds: (inputs, node) => sumOfParts(bindingsOf(node).map((b) => boundBinding(b, inputs, node))),
    gradient: definition.gradient ?? gradient,
    flops: (node) => bindingsOf(node).reduce((sum, binding) => sum + formulaFlops(binding, node), 0),
    recompute: definition.recompute ?? "cheap",
    binding: (node) => {
      const [only, ...others] = bindingsOf(node);
      return others.length === 0 ? only : undefined;
    },
    formats: (node) => formulaFormats(bindingsOf(node), definition),
    absorb: (node) => absorptionOf(node, bindingsOf(node), definition),
    absorbable: definition.absorbable,
    kernels: { wasm: [formulaKernel(bindingsOf)], wgsl: [formulaKernel(bindingsOf)] },
  };
  return op;
}

/** Whole rows are stored in the formats of the rules; numbers per row or column are statistics, or gradients of parameters. */
function formulaFormats(
  bindings: readonly FormulaBinding[],
  { inPlace = [], rounds }: Pick<FormulaOpDefinition<never>, "inPlace" | "rounds">,
): FormatPorts {
  const inputs = bindings.flatMap((binding) =>
    binding.inputs.filter((view) => extentOfInput(binding, view.port) === ELEMENT).map((view) => view.operand),
  );
  const outputs = bindings.flatMap((binding) =>
    binding.outputs.filter((view) => extentOfOutput(binding, view.port) === ELEMENT).map((view) => view.operand),
  );
  const [states, contents] = [inPlace.map(([, input]) => input), inPlace.map(([output]) => output)];
  return {
    first: rounds ?? [...new Set(inputs)].filter((input) => !states.includes(input)),
    second: [],
    results: [...new Set(outputs)].filter((output) => !contents.includes(output)),
  };
}

/** Every formula leaves 0 where others write. */
const sumOfParts = ([first, ...others]: readonly Float64Array[][]): Float64Array[] =>
  others.reduce((sums, part) => sums.map((sum, output) => sum.map((value, i) => value + part[output][i])), first);

const formulaKernel = (bindingsOf: (node: Node) => readonly FormulaBinding[]) => ({
  because: "it is a formula: one pass per phase over its operands",
  fits: () => true,
  request: (node: Node) => ({ skeleton: "formula" as const, bindings: bindingsOf(node) }),
});

/** Nodes made from formulas by differentiation and fusion. */
export const derivedFormula: Op<DerivedAttributes> = defineFormulaOp<DerivedAttributes>({
  name: "formula",
  summary: "A formula derived from others: a gradient, or neighbours computed in one pass.",
  source: "derived by compiler/formula",
  shapes: "as its attributes say",
  infer: (_inputs, attributes) => attributes.outputs,
  bind: (attributes) => attributes.bindings,
  recompute: "never",
  gradient: { kind: "none", reason: "gradients of gradients are not needed for training" },
});

/** A sum with one of its whole-row outputs is one more term of the formula. */
function absorptionOf(
  node: Node,
  [binding, ...others]: readonly FormulaBinding[],
  definition: Pick<FormulaOpDefinition<never>, "name" | "summary" | "source">,
): Absorption {
  if (others.length > 0) return {};
  const whole = binding.outputs.filter((view) => {
    const isOnly = binding.outputs.every((other) => other === view || other.operand !== view.operand);
    return isOnly && binding.groups === 1 && extentOfOutput(binding, view.port) === ELEMENT;
  });
  if (whole.length === 0) return {};
  return {
    add: {
      outputs: whole.map((view) => view.operand),
      build: (inputs, output, other, emitter) => {
        const view = whole.find((v) => v.operand === output);
        invariant(view !== undefined, "the output cannot be added to", node.path);
        const { formula, name } = withAddend(binding.formula, view.port);
        const { summary, source } = describeNode(node, definition);
        const label = `${labelOf(node, definition.name)}_add`;
        const attributes: DerivedAttributes = {
          label,
          summary: `${summary.replace(/\.$/, "")}, with ${name} added to ${view.port}.`,
          source,
          bindings: [
            { ...binding, formula, inputs: [...binding.inputs, { ...view, port: name, operand: inputs.length }] },
          ],
          outputs: node.outputs.map((o) => ({ port: o.name.slice(o.name.lastIndexOf(".") + 1), type: o.type })),
        };
        return emitter.emit(derivedFormula, [...inputs, other], attributes, placeOf(node));
      },
    },
  };
}

const sums = new WeakMap<Formula, Map<string, { readonly formula: Formula; readonly name: string }>>();

/** The formula with one more input that is added to one of its outputs, and that input's name. */
function withAddend(formula: Formula, output: string): { readonly formula: Formula; readonly name: string } {
  const known = sums.get(formula) ?? new Map();
  sums.set(formula, known);
  const found = known.get(output);
  if (found !== undefined) return found;
  let name = "addend";
  for (let i = 2; formula.inputs.some((input) => input.name === name); i++) name = `addend${i}`;
  const addend = formula.terms.input(name, ELEMENT);
  const sum = (o: FormulaOutput): FormulaOutput =>
    o.name === output ? { ...o, term: formula.terms.add(o.term, addend) } : o;
  const made = {
    formula: { ...formula, inputs: [...formula.inputs, addend], outputs: formula.outputs.map(sum) },
    name,
  };
  known.set(output, made);
  return made;
}

/** What a node computes, and where that is from: its op's, or what it was derived as. */
export const describeNode = (
  node: Node,
  op: { summary: string; source: string },
): { summary: string; source: string } => (node.op === derivedFormula.name ? attributesOf(derivedFormula, node) : op);

/** What a node's kernel is called after: its op, or what a derived formula was derived from. */
export const labelOf = (node: Node, opName: string): string =>
  node.op === derivedFormula.name ? attributesOf(derivedFormula, node).label : opName;

/** Every operation of the formula once per element or row; transcendentals count as one. */
export function formulaFlops(binding: FormulaBinding, node: Node): number {
  const terms = postorder(binding.formula.outputs.map((o) => o.term));
  const operations = terms.reduce(
    (count, term) => count + Math.max(0, operands(term).length - 1) + (term.op === "call" ? 1 : 0),
    0,
  );
  const elements = Math.max(...[...node.inputs, ...node.outputs].map((value) => elementCount(value.type)));
  return operations * elements;
}

/** A formula's operands and what is asked of its gradient: a node, or a part of what a node computes. */
interface FormulaGradientRequest {
  readonly place: NodePlace;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** Adjoint of each output; undefined where nothing depends on it. */
  readonly dOutputs: readonly (Value | undefined)[];
  readonly wanted: readonly boolean[];
  readonly emitter: Emitter;
}

/** How the node that computes a gradient is called. */
interface GradientNames {
  /** What is differentiated. */
  readonly name: string;
  readonly source: string;
  /** Names of the inputs, in order. */
  readonly ports: readonly string[];
  /** Outputs that are read instead of computed again. */
  readonly keep?: readonly string[];
}

function emitDerivative(
  { node, dOutputs, wanted, emitter }: GradientRequest,
  bindings: readonly FormulaBinding[],
  {
    name,
    source,
    shapes,
    keep = [],
    passes,
  }: Pick<FormulaOpDefinition<never>, "name" | "source" | "shapes" | "keep" | "passes">,
): readonly (Value | undefined)[] {
  const { inputs, outputs } = node;
  const ports = signature(shapes).inputs.map((port) => port.name);
  const place = placeOf(node, "dgrad");
  const passed = passes === undefined ? undefined : dOutputs[0];
  const asked = wanted.map((isWanted, i) => isWanted && (i !== passes || passed === undefined));
  const request = { place, inputs, outputs, dOutputs, wanted: asked, emitter };
  const dInputs = emitFormulaGradient(request, bindings, { name, source, ports, keep });
  return dInputs.map((d, i) => (i === passes ? (passed ?? d) : d));
}

/** One node that computes the gradients of all wanted inputs, with as many formulas as it took to compute the outputs. */
export function emitFormulaGradient(
  request: FormulaGradientRequest,
  parts: FormulaBinding | readonly FormulaBinding[],
  { name, source, ports: names, keep = [] }: GradientNames,
): readonly (Value | undefined)[] {
  const { place, inputs: given, dOutputs, wanted, emitter } = request;
  const results = given.map((_, i) => i).filter((i) => wanted[i]);
  const operandsOf = new OperandList();
  const bindings = [parts].flat();
  const derived = bindings.flatMap((binding) => derivedBinding(request, binding, keep, results, operandsOf) ?? []);
  if (derived.length === 0) return given.map(() => undefined);
  const isWhole = bindings.length === 1 || !dOutputs.includes(undefined);
  invariant(isWhole, `parts of ${name} need the adjoints of all outputs`, place.path);
  const by = new Set(derived.flatMap(({ outputs }) => outputs.map(({ port }) => port.slice("d_".length))));
  const dInputs = emitter.emit(
    derivedFormula,
    operandsOf.values,
    {
      label: `${name}_backward`,
      summary: `Gradients of ${name} by ${[...by].join(", ")}.`,
      source: `gradient of ${source}`,
      bindings: derived,
      outputs: results.map((i): OutputPort => ({ port: `d_${names[i]}`, type: given[i].type })),
    },
    place,
  );
  return given.map((_, i) => (wanted[i] ? dInputs[results.indexOf(i)] : undefined));
}

/** The derivative of one formula by its inputs among `results`, over the same views; undefined where there is nothing to derive. */
function derivedBinding(
  { place, inputs: given, outputs: computed, dOutputs }: FormulaGradientRequest,
  binding: FormulaBinding,
  keep: readonly string[],
  results: readonly number[],
  operandsOf: OperandList,
): FormulaBinding | undefined {
  const seeded = binding.outputs.filter((view) => dOutputs[view.operand] !== undefined);
  const by = binding.inputs.filter((view) => results.includes(view.operand)).map((view) => view.port);
  if (seeded.length === 0 || by.length === 0) return undefined;
  for (const view of binding.inputs) {
    const isShared = binding.groups > 1 && view.groupStep === 0 && (extentOfInput(binding, view.port) & ROW) !== 0;
    const message = `${view.port} is shared by groups of rows and has no gradient`;
    invariant(!isShared || !results.includes(view.operand), message, place.path);
  }
  const ports = seeded.map((view) => view.port);
  const formula = derivativeOf(binding.formula, ports, by, keep);
  const inputs = formula.inputs.map(({ name }): PortView => {
    const own = binding.inputs.find((view) => view.port === name);
    if (own !== undefined) return { ...own, operand: operandsOf.add(given[own.operand]) };
    const kept = binding.outputs.find((view) => view.port === name);
    if (kept !== undefined) return { ...kept, operand: operandsOf.add(computed[kept.operand]) };
    const seed = binding.outputs.find((view) => `d_${view.port}` === name);
    const adjoint = seed && dOutputs[seed.operand];
    invariant(seed !== undefined && adjoint !== undefined, `derivative reads unknown value ${name}`, place.path);
    return { ...seed, port: name, operand: operandsOf.add(adjoint) };
  });
  const outputs = by.map((port): PortView => {
    const view = binding.inputs.find((v) => v.port === port) ?? plainView(port, 0);
    return { ...view, port: `d_${port}`, operand: results.indexOf(view.operand) };
  });
  return { ...binding, formula, inputs, outputs };
}

const derivatives = new WeakMap<Formula, Map<string, Formula>>();

/** The derivative of the seeded outputs by some inputs; layers share formulas, so each is derived once. */
function derivativeOf(
  formula: Formula,
  seeded: readonly string[],
  by: readonly string[],
  keep: readonly string[],
): Formula {
  const known = derivatives.get(formula) ?? new Map<string, Formula>();
  derivatives.set(formula, known);
  const key = `${seeded} by ${by}`;
  const found = known.get(key);
  if (found !== undefined) return found;
  // Outputs that are kept are inputs of the derivative even where nothing depends on them.
  const primal: Formula = { ...formula, outputs: formula.outputs.filter((o) => seeded.includes(o.name)) };
  const names = new Map(formula.names);
  for (const { name, term } of formula.outputs) if (keep.includes(name)) names.set(term, name);
  const derivative = differentiateFormula({ ...primal, names }, { by, keep });
  known.set(key, derivative);
  return derivative;
}

/** Collects distinct operands. */
class OperandList {
  readonly values: Value[] = [];

  add(value: Value): number {
    const known = this.values.indexOf(value);
    if (known >= 0) return known;
    return this.values.push(value) - 1;
  }
}
