// YAML → Spec: the stages of reading, in order. Every independent fault is told in one run.

import { type Diagnostic, Diagnostics } from "../source/diagnostic.ts";
import * as say from "../source/messages/model.ts";
import * as sayBlocks from "../source/messages/model-blocks.ts";
import * as sayYaml from "../source/messages/yaml.ts";
import { decodeSource, readSourceFile } from "../source/read-file.ts";
import { readYaml } from "../source/read-yaml.ts";
import type { Place, SourceText } from "../source/text.ts";
import type { YamlMap } from "../source/yaml-node.ts";
import { checkLimits } from "./limits.ts";
import { applyOverrides } from "./overrides.ts";
import { keyPlaces } from "./places.ts";
import { resolveModel } from "./resolve-model.ts";
import { resolveData, resolveTrain, resolveTrainBatch } from "./resolve-train.ts";
import { readPrecision, readRecompute } from "./rules.ts";
import { specSchema } from "./schema.ts";
import { Section } from "./section.ts";
import type { ModelSpec, ServeSpec, Spec, TrainSpec } from "./spec.ts";
import { checkStructure } from "./structure.ts";
import { readTiles } from "./tiles.ts";
import { nodeWords } from "./words.ts";

export interface SpecReading {
  /** Undefined if there is an error among the diagnostics. */
  readonly spec: Spec | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

/** Reads the spec of a file; `overrides` are texts such as `model.layers=2` or `precision+=experts: bf16`. */
export function readSpecFile(path: string, overrides: readonly string[] = []): SpecReading {
  const diagnostics = new Diagnostics();
  return readFrom(readSourceFile(path, diagnostics), overrides, diagnostics);
}

/** Reads a spec from its text, or from bytes that messages call `name`. */
export function readSpec(
  source: SourceText | { readonly name: string; readonly bytes: Uint8Array },
  overrides: readonly string[] = [],
): SpecReading {
  const diagnostics = new Diagnostics();
  const text = "bytes" in source ? decodeSource(source.name, source.bytes, diagnostics) : source;
  return readFrom(text, overrides, diagnostics);
}

function readFrom(source: SourceText | undefined, overrides: readonly string[], diagnostics: Diagnostics): SpecReading {
  const node = source && readYaml(source, diagnostics);
  if (node !== undefined && node.kind !== "map") diagnostics.add(sayYaml.notAMap(nodeWords(node), node.place));
  const root = node?.kind === "map" ? applyOverrides(node, overrides, diagnostics) : undefined;
  const spec = root && resolveSpec(root, diagnostics);
  return { spec: diagnostics.hasErrors ? undefined : spec, diagnostics: onePerPlace(diagnostics.all) };
}

function resolveSpec(node: YamlMap, diagnostics: Diagnostics): Spec | undefined {
  const faulty = checkStructure(node, specSchema, diagnostics);
  const start: Place = {
    source: node.place.source,
    span: { start: node.place.span.start, end: node.place.span.start },
  };
  const root = new Section({ diagnostics, faulty, pending: [] }, node, specSchema, { path: "", place: start });
  const name = root.text("name")?.text;
  const modelSection = root.section("model");
  const trainSection = root.isGiven("train") ? root.section("train", modelSection) : undefined;
  const batch = trainSection && resolveTrainBatch(trainSection);
  const model = resolveModel(root, batch);
  const serveSection = root.section("serve", modelSection);
  const precision = readPrecision(root, {
    ...(trainSection && { train: trainSection }),
    ...(root.isGiven("evaluate") && { evaluate: root.section("evaluate") }),
    serve: serveSection,
  });
  const tiles = readTiles(root);
  const recompute = readRecompute(root);
  const data = resolveData(root);
  const train = trainSection && resolveTrain(trainSection, modelSection, batch);
  const serve = resolveServe(serveSection);
  if (name === undefined || model === undefined || serve === undefined) return undefined;
  if (trainSection !== undefined && train !== undefined) checkMtp(model, modelSection, train, trainSection);
  if (!diagnostics.hasErrors) checkLimits(root, { model, train, serve });
  const places = keyPlaces(node);
  const placeOf = (keyPath: string) => places.get(keyPath);
  return { name, model, precision, tiles, recompute, data, train, serve, placeOf };
}

/** A sequence must have a token that is `depth` behind another's next one. */
function checkMtp(model: ModelSpec, modelSection: Section, { sequence }: TrainSpec, train: Section): void {
  const { mtp } = model;
  if (mtp === undefined || mtp.depth < sequence) return;
  const place = modelSection.section("mtp").placeOf("depth");
  train.reading.diagnostics.add(sayBlocks.mtpBeyondSequence(mtp.depth, sequence, place, train.placeOf("sequence")));
}

function resolveServe(serve: Section): ServeSpec | undefined {
  const [sequences, tokens, pages, page] = ["sequences", "tokens", "pages", "page"].map((name) => serve.number(name));
  if (sequences === undefined || tokens === undefined || pages === undefined || page === undefined) return undefined;
  if (tokens < sequences) {
    const places = [serve.placeOf("tokens"), serve.placeOf("sequences")] as const;
    serve.reading.diagnostics.add(say.tokensBelowSequences(tokens, sequences, ...places));
  }
  return { sequences, tokens, pages, page };
}

/** A text that several layers share is read for each of them; what is wrong with it is told once. */
function onePerPlace(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  const seen = new Set<string>();
  return diagnostics.filter(({ code, claim, place }) => {
    const key = `${code} ${claim} ${place?.source.name} ${place?.span.start} ${place?.span.end}`;
    const isNew = !seen.has(key);
    seen.add(key);
    return isNew;
  });
}
