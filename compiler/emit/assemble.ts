// WAT texts → one WebAssembly module that exports every kernel. The only user of wabt.

import { createRequire } from "node:module";
import { invariant } from "../source/diagnostic.ts";
import type { KernelFile } from "./kernel-files.ts";

type WabtFactory = typeof import("wabt");

const features = { simd: true, threads: true, bulk_memory: true, multi_value: true, mutable_globals: true } as const;

/** Each file is a module of its own; together they import memory and scratch once and share equal constants. */
export async function assemble(files: readonly KernelFile[]): Promise<Uint8Array> {
  const require = createRequire(import.meta.url);
  const wabt = await (require("wabt") as WabtFactory)();
  const module = wabt.parseWat("kernels.wat", mergeModules(files), features);
  try {
    return module.toBinary({}).buffer;
  } finally {
    module.destroy();
  }
}

/** Top-level fields of all modules: imports and globals once each, functions as they are. */
function mergeModules(files: readonly KernelFile[]): string {
  const shared = new Set<string>();
  const functions: string[] = [];
  for (const { name, text } of files) {
    const start = text.indexOf("(module\n");
    invariant(start >= 0 && text.trimEnd().endsWith(")"), `kernel ${name} is no module`);
    const body = text.slice(start + "(module\n".length, text.trimEnd().length - 1);
    const own: string[] = [];
    for (const line of body.split("\n")) {
      if (/^ {2}\((import|global) /.test(line)) shared.add(line);
      else own.push(line);
    }
    functions.push(own.join("\n"));
  }
  const fields = [...shared].sort((a, b) => Number(b.startsWith("  (import")) - Number(a.startsWith("  (import")));
  return `(module\n${fields.join("\n")}\n${functions.join("\n")}\n)\n`;
}
