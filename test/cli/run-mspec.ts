// Runs mspec for tests: as a process of its own, as a user does, or in the process of the test, which is faster.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { vi } from "vitest";
import { run } from "../../compiler/cli/main.ts";

export const repository = fileURLToPath(new URL("../..", import.meta.url));
export const bin = join(repository, "bin", "mspec.mjs");

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Options of Node itself. */
  readonly node?: readonly string[];
}

/** What bin/mspec.mjs says of its own; whether dist/ was stale is no matter of these tests. */
const launcherLine = /^mspec: .*\n/gm;

/** From dist/, which the first run builds if it is stale. */
export function mspecProcess(args: readonly string[], options: RunOptions = {}): Ran {
  return nodeProcess([bin, ...args], options);
}

/** Any program of Node, in a clean environment. */
export function nodeProcess(args: readonly string[], { cwd = repository, env = {}, node = [] }: RunOptions = {}): Ran {
  const inherited = { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "/" };
  const { status, stdout, stderr } = spawnSync(process.execPath, [...node, ...args], {
    cwd,
    env: { ...inherited, ...env },
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  return { status, stdout, stderr: stderr.replace(launcherLine, "") };
}

/** The sources, in this process. */
export async function mspec(args: readonly string[], cwd = repository): Promise<Ran> {
  const written = { stdout: "", stderr: "" };
  const before = process.cwd();
  process.chdir(cwd);
  const spies = (["stdout", "stderr"] as const).map((stream) =>
    vi.spyOn(process[stream], "write").mockImplementation((text) => {
      written[stream] += text;
      return true;
    }),
  );
  try {
    return { status: await run(args), ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
    process.chdir(before);
  }
}

/** A fresh folder for a test; `remove` deletes it. */
export function scratchFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "mspec-cli-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
