// The flags that mean the same on every verb, and reading a spec as they say.

import { Option } from "commander";
import picocolors from "picocolors";
import type { DeviceName } from "../../runtime/device.ts";
import { type Diagnostic, DiagnosticError } from "../source/diagnostic.ts";
import { formatDiagnostics } from "../source/format-diagnostics.ts";
import { readSpecFile } from "../spec/read.ts";
import type { Spec } from "../spec/spec.ts";

/** Devices that mspec can compile for and run on. */
export const deviceNames = ["wasm", "webgpu", "webgpu:software"] as const satisfies readonly DeviceName[];

export interface DeviceFlags {
  readonly device?: DeviceName;
}

export interface SpecFlags {
  readonly set: readonly string[];
}

/** `--set model.layers=2`, as often as needed. */
export function setFlag(): Option {
  const collect = (text: string, earlier: readonly string[]) => [...earlier, text];
  return new Option("--set <key=value>", "override a key of the spec, or append to a list with +=; may be repeated")
    .argParser(collect)
    .default([], "nothing");
}

/** `-o` is where the output goes, whatever a verb writes. */
export function outFlag(what: string): Option {
  return new Option("-o, --out <path>", what);
}

/** `--device wasm`: the device that is compiled for, checked against or run on. */
export function deviceFlag(what: string): Option {
  return new Option("--device <name>", what).choices(deviceNames).env("MSPEC_DEVICE");
}

/** Whether messages to stderr are coloured. */
export const isColored = (): boolean => picocolors.isColorSupported && process.stderr.isTTY === true;

export function warn(diagnostics: readonly Diagnostic[]): void {
  if (diagnostics.length === 0) return;
  process.stderr.write(`${formatDiagnostics(diagnostics, { color: isColored() })}\n`);
}

/** The spec of a file; throws everything that is wrong with it, prints warnings. */
export function readSpecOrThrow(path: string, { set }: SpecFlags): Spec {
  const { spec, diagnostics } = readSpecFile(path, set);
  if (spec === undefined) throw new DiagnosticError(diagnostics);
  warn(diagnostics);
  return spec;
}
