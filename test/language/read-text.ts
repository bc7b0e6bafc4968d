// Reads a text for tests and says its faults in one line each.

import { type Diagnostic, Diagnostics } from "../../compiler/source/diagnostic.ts";
import { decodeSource } from "../../compiler/source/read-file.ts";
import { readYaml } from "../../compiler/source/read-yaml.ts";
import type { Place } from "../../compiler/source/text.ts";
import type { YamlNode } from "../../compiler/source/yaml-node.ts";

export interface Reading {
  readonly node: YamlNode | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

export function readText(text: string | Uint8Array): Reading {
  const diagnostics = new Diagnostics();
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  const source = decodeSource("test.yaml", bytes, diagnostics);
  return { node: source && readYaml(source, diagnostics), diagnostics: diagnostics.all };
}

/** `3:7`. */
export function position(place: Place | undefined): string {
  if (place === undefined) return "nowhere";
  const { line, column } = place.source.position(place.span.start);
  return `${line}:${column}`;
}

/** `error 3:7 yaml/anchor`, with the place of a second caret if there is one. */
export function faultLine({ code, severity, place, related = [] }: Diagnostic): string {
  return [severity, position(place), code, ...related.map((other) => `and ${position(other.place)}`)].join(" ");
}
