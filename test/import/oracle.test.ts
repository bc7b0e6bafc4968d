// What the operations mean, held against PyTorch without a kernel between: whole models on the oracle.

import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import { mspec, scratchFolder } from "../cli/run-mspec.ts";
import { fixtureFolder } from "./checkpoints.ts";

const scratch = scratchFolder();
afterAll(() => scratch.remove());
afterEach(() => {
  process.exitCode = undefined;
});

/** Quantities that must have been compared, and within their tolerance. */
const compared = {
  gpt_oss: ["hidden", "logits", "greedy", "loss", "gradients", "update"],
  deepseek_v3_noqlora_ragged: ["hidden", "logits", "greedy", "loss", "gradients", "update"],
  deepseek_v3_mtp: ["logits", "mtp_logits", "loss", "gradients"],
} as const;

test.each(Object.entries(compared))("%s computes on the oracle what PyTorch computed", async (name, quantities) => {
  const reference = fixtureFolder(name, scratch.path);
  const model = join(scratch.path, `${name}-imported`);
  expect((await mspec(["import", reference, "-o", model])).status).toBe(0);
  const { stdout } = await mspec(["verify", model, "--reference", reference, "--oracle"]);
  const rows = stdout.split("\n\n")[0].split("\n").slice(1);
  const within = rows.filter((row) => / {2}within( |$)/.test(row)).map((row) => row.split(" ")[0]);
  expect(within).toEqual(quantities);
});
