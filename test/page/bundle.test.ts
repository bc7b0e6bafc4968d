// How much a page loads to train and serve a model, and that nothing of Node is in it.

import { brotliCompressSync, gzipSync } from "node:zlib";
import { beforeAll, expect, it } from "vitest";
import { bundleForPage, type Chunk } from "./bundle.ts";

/** Bytes after gzip, the most that a page may load. */
const most = 150_000;

let chunks: readonly Chunk[];
beforeAll(async () => {
  chunks = await bundleForPage("runtime/page.ts");
});

function chunkOf(module: string): Chunk {
  const found = chunks.filter(({ modules }) => modules.includes(module));
  expect(found.length, module).toBe(1);
  return found[0];
}

/** Chunks that are loaded with these, and they themselves. */
function withImports(roots: readonly Chunk[]): Chunk[] {
  const files = new Set<string>();
  const open = roots.map(({ file }) => file);
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    open.push(...(chunks.find((chunk) => chunk.file === file)?.imports ?? []));
  }
  return chunks.filter(({ file }) => files.has(file));
}

function sizes(loaded: readonly Chunk[]): { readonly plain: number; readonly gzip: number; readonly brotli: number } {
  const sum = (bytesOf: (code: string) => number) => loaded.reduce((total, { code }) => total + bytesOf(code), 0);
  return {
    plain: sum((code) => code.length),
    gzip: sum((code) => gzipSync(code).length),
    brotli: sum((code) => brotliCompressSync(code).length),
  };
}

it("what trains on bytes is small, and so is what has the library of tokenizers besides", () => {
  const bytesOnly = withImports([chunkOf("runtime/page.ts"), chunkOf("runtime/devices/webgpu.ts")]);
  const all = withImports(chunks);
  expect(bytesOnly.flatMap(({ modules }) => modules)).toContain("runtime/train/trainer.ts");
  expect(bytesOnly.flatMap(({ modules }) => modules)).toContain("runtime/serve/engine.ts");
  expect(bytesOnly.flatMap(({ modules }) => modules).filter((path) => path.includes("@huggingface"))).toEqual([]);
  expect(all.flatMap(({ modules }) => modules).filter((path) => path.includes("@huggingface")).length).toBeGreaterThan(
    0,
  );
  const [small, large] = [sizes(bytesOnly), sizes(all)];
  const kB = (bytes: number) => `${(bytes / 1000).toFixed(1)} kB`;
  for (const [name, size] of [
    ["on bytes", small],
    ["with tokenizers", large],
  ] as const) {
    process.stdout.write(
      `a page that trains ${name}: ${kB(size.plain)}, ${kB(size.gzip)} gzip, ${kB(size.brotli)} brotli\n`,
    );
  }
  expect(small.gzip).toBeGreaterThan(20_000);
  expect(small.gzip).toBeLessThan(large.gzip);
  expect(large.gzip).toBeLessThan(most);
});

it("holds no module of Node, and none that the bundler had to leave out", () => {
  const code = chunks.map((chunk) => chunk.code).join("\n");
  expect(code).toContain("requestAdapter");
  expect(code).not.toMatch(/["'`]node:|worker_threads|__vite-browser-external|externalized for browser/);
  const modules = chunks.flatMap((chunk) => chunk.modules);
  expect(modules.filter((path) => /node-|wasm|\bcompiler\//.test(path.replace("node_modules", "")))).toEqual([]);
});
