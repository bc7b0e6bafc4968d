import { readdir, readFile } from "node:fs/promises";
import { expect, it } from "vitest";

const runtime = new URL("../../runtime/", import.meta.url);

it("only files named node-… import Node's modules: the others run in a page too", async () => {
  const files = ["random.ts", "exact-math.ts", "fault.ts"];
  for (const folder of ["devices", "files", "data", "messages"]) {
    const names = await readdir(new URL(folder, runtime), { recursive: true });
    files.push(...names.filter((name) => name.endsWith(".ts")).map((name) => `${folder}/${name}`));
  }
  expect(files.length).toBeGreaterThan(25);
  const users: string[] = [];
  for (const file of files) {
    const source = await readFile(new URL(file, runtime), "utf8");
    if (/from "node:|\bprocess\.[a-z]+[^a-z ]|\bBuffer\b|require\(/.test(source)) users.push(file);
  }
  expect(users.toSorted()).toEqual([
    "devices/node-swiftshader.ts",
    "devices/node-vulkan.ts",
    // Threads of Node; a page would have workers of its own.
    "devices/wasm.ts",
    "files/node-disk.ts",
    "files/node-process.ts",
  ]);
});
