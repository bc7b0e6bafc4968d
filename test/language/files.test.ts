// Fault A16: what is no readable regular file of at most 1 MiB is refused in words before it is read.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Diagnostics } from "../../compiler/source/diagnostic.ts";
import { readSourceFile } from "../../compiler/source/read-file.ts";

const folder = mkdtempSync(join(tmpdir(), "mspec-files-"));
afterAll(() => rmSync(folder, { recursive: true }));

const inFolder = (name: string) => join(folder, name);

function fault(path: string): string {
  const diagnostics = new Diagnostics();
  expect(readSourceFile(path, diagnostics)).toBeUndefined();
  expect(diagnostics.all).toHaveLength(1);
  const [{ code, claim }] = diagnostics.all;
  return `${code}: ${claim.replace(folder, "")}`;
}

test("a missing file", () => {
  expect(fault(inFolder("no"))).toBe("file/not-found: `/no` cannot be read: there is no such file");
});

test("a directory", () => {
  mkdirSync(inFolder("d"));
  expect(fault(inFolder("d"))).toBe("file/is-directory: `/d` is a directory");
});

test("a file below a file", () => {
  writeFileSync(inFolder("f"), "a: 1");
  expect(fault(inFolder("f/x"))).toBe("file/not-found: `/f/x` cannot be read: a part of its path is not a directory");
});

test("a link to itself", () => {
  symlinkSync("loop", inFolder("loop"));
  expect(fault(inFolder("loop"))).toBe("file/not-found: `/loop` cannot be read: its links lead back to themselves");
});

test("a sparse file of 1 GiB is refused by its size", () => {
  writeFileSync(inFolder("big"), "");
  truncateSync(inFolder("big"), 2 ** 30);
  const began = performance.now();
  expect(fault(inFolder("big"))).toBe("file/too-large: `/big` has 1073741824 bytes, a spec has at most 1048576");
  expect(performance.now() - began).toBeLessThan(100);
});

test("a device", (context) => {
  context.skip(!existsSync("/dev/zero"), "there is no /dev/zero");
  expect(fault("/dev/zero")).toBe("file/not-regular: `/dev/zero` is not a regular file");
});

test("a FIFO that nobody writes to", (context) => {
  context.skip(spawnSync("mkfifo", [inFolder("fifo")]).status !== 0, "there is no mkfifo");
  expect(fault(inFolder("fifo"))).toBe("file/not-regular: `/fifo` is not a regular file");
});

test("a file without permission", (context) => {
  context.skip(process.getuid?.() === 0, "the super-user may read every file");
  writeFileSync(inFolder("secret"), "a: 1", { mode: 0o000 });
  expect(fault(inFolder("secret"))).toBe(
    "file/no-permission: `/secret` cannot be read: there is no permission to read it",
  );
});

test("a readable file is its text under the name that was given", () => {
  writeFileSync(inFolder("ok"), "a: 1\n");
  const source = readSourceFile(inFolder("ok"), new Diagnostics());
  expect(source?.text).toBe("a: 1\n");
  expect(source?.name).toBe(inFolder("ok"));
});
