// @ts-check
// Child processes that answer one line of JSON per line of input, so that peers can be measured in turns.

import { spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";

/** Starts a peer and waits for its `ready`. @param {string} command @param {string[]} args */
export async function startPeer(command, args) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.value !== "ready") throw new Error(`${command} ${args[0]} did not start`);
  return {
    /** @param {string} line */
    async ask(line) {
      child.stdin.write(`${line}\n`);
      const answer = await lines.next();
      if (answer.done) throw new Error(`${args[0]} ended`);
      return JSON.parse(answer.value);
    },
    stop() {
      child.stdin.end();
      child.kill();
    },
  };
}

/** The version of torch, or undefined where python3 has none. */
export function torchVersion() {
  const { status, stdout } = spawnSync("python3", ["-c", "import torch; print(torch.__version__)"], {
    encoding: "utf8",
  });
  return status === 0 ? stdout.trim() : undefined;
}
