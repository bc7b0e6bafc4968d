// `--set key=value` and `--set list+=value`: values are put into the document before anything of it is checked, so they
// are validated like the file, and messages show the text of the option.

import { DiagnosticError, type Diagnostics, invariant } from "../source/diagnostic.ts";
import * as say from "../source/messages/override.ts";
import { readYaml } from "../source/read-yaml.ts";
import { type Place, SourceText, standaloneExpression } from "../source/text.ts";
import type { YamlEntry, YamlList, YamlMap, YamlNode, YamlScalar } from "../source/yaml-node.ts";
import { specSchema } from "./schema.ts";
import { branches, fallbackItems, type Shape } from "./shape.ts";

/** The document with every override applied, in order; one that cannot be is told of and left out. */
export function applyOverrides(root: YamlMap, overrides: readonly string[], diagnostics: Diagnostics): YamlMap {
  return overrides.reduce((document, text) => {
    const override = readOverride(text, diagnostics);
    if (override === undefined) return document;
    try {
      const changed = changedNode(document, override.steps, override, "");
      invariant(changed.kind === "map", "an override replaced the document");
      return changed;
    } catch (error) {
      if (!(error instanceof DiagnosticError)) throw error;
      for (const diagnostic of error.diagnostics) diagnostics.add(diagnostic);
      return document;
    }
  }, root);
}

/** A name or an index in the key of an override, and where it stands. */
interface Step {
  readonly name: string | number;
  readonly place: Place;
}

interface Override {
  readonly steps: readonly Step[];
  readonly value: YamlNode;
  readonly isAppended: boolean;
}

function readOverride(text: string, diagnostics: Diagnostics): Override | undefined {
  const source = new SourceText("--set", text);
  const place = (start: number, end: number): Place => ({ source, span: { start, end } });
  const [head, key, sign] = /^([A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d{1,6}\])*)(\+?=)/.exec(text) ?? [];
  if (head === undefined) {
    diagnostics.add(say.malformed(place(0, text.length)));
    return undefined;
  }
  if (text.slice(head.length).trim() === "") {
    diagnostics.add(say.emptyValue(place(head.length, text.length)));
    return undefined;
  }
  const blanked = new SourceText("--set", " ".repeat(head.length) + text.slice(head.length));
  const value = readYaml(blanked, diagnostics, source);
  const steps = [...key.matchAll(/\w+/g)].map(({ 0: name, index }) => {
    const isIndex = text[index - 1] === "[";
    return { name: isIndex ? Number(name) : name, place: place(index, index + name.length) };
  });
  return value && { steps, value, isAppended: sign === "+=" };
}

/** The node with what the steps below it name replaced. */
function changedNode(node: YamlNode | undefined, steps: readonly Step[], override: Override, path: string): YamlNode {
  const [step, ...rest] = steps;
  if (step === undefined) return override.isAppended ? appended(node, override, path) : override.value;
  if (typeof step.name === "number") return changedList(node, step.name, step.place, rest, override, path);
  if (node?.kind === "list") throw new DiagnosticError([say.needsIndex(path, step.place)]);
  if (node !== undefined && node.kind !== "map") throw new DiagnosticError([say.notAMap(path, step.place)]);
  const entries = new Map<string, YamlEntry>(node?.entries);
  const { key, value } = entries.get(step.name) ?? { key: keyScalar(step.name, step.place), value: undefined };
  const below = path === "" ? step.name : `${path}.${step.name}`;
  entries.set(step.name, { key, value: changedNode(value, rest, override, below) });
  return { kind: "map", entries, place: node?.place ?? step.place };
}

function changedList(
  node: YamlNode | undefined,
  index: number,
  place: Place,
  rest: readonly Step[],
  override: Override,
  path: string,
): YamlList {
  if (node?.kind !== "list") throw new DiagnosticError([say.notIndexed(path, place)]);
  if (index >= node.items.length) throw new DiagnosticError([say.noEntry(path, index, node.items.length, place)]);
  const items = node.items.with(index, changedNode(node.items[index], rest, override, `${path}[${index}]`));
  return { kind: "list", items, place: node.place };
}

/** A list with one more item; a block that may be a list becomes its first entry. */
function appended(node: YamlNode | undefined, { value, steps }: Override, path: string): YamlList {
  const place = value.place;
  if (node?.kind === "list") return { ...node, items: [...node.items, value] };
  const list = shapeAt(path).find((branch) => branch.kind === "list");
  const target = steps[steps.length - 1].place;
  if (list === undefined || (node !== undefined && node.kind !== "map")) {
    throw new DiagnosticError([say.notAList(path, target)]);
  }
  return { kind: "list", items: [...(node === undefined ? defaultItems(path) : [node]), value], place };
}

/** What a list holds when the file does not give it. */
function defaultItems(path: string): readonly YamlNode[] {
  const key = specSchema.keys.get(path);
  return (key === undefined ? [] : fallbackItems(key)).map((word) =>
    keyScalar(word, standaloneExpression("default", word).place({ start: 0, end: word.length })),
  );
}

function shapeAt(path: string): readonly Shape[] {
  return path.split(".").reduce<readonly Shape[]>(
    (shapes, name) =>
      shapes.flatMap((shape) => {
        const key = shape.kind === "section" ? shape.keys.get(name) : undefined;
        return key === undefined ? [] : branches(key.shape);
      }),
    [specSchema],
  );
}

function keyScalar(name: string, place: Place): YamlScalar {
  return { kind: "scalar", value: name, text: { text: name, place: () => place }, place };
}
