// Runs transformers where this machine has it: another system that loads what mspec exports.

import { spawnSync } from "node:child_process";

const script = `
import json, sys, torch
from transformers import AutoModelForCausalLM
answers = []
for folder, tokens in json.loads(sys.argv[1]):
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    problems = [str(info[key]) for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if info[key]]
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0]
    answers.append({"problems": problems, "logits": logits.flatten().tolist()})
print("\\n" + json.dumps(answers))
`;

export interface TheirModel {
  /** Tensors that are missing, too many or of another shape. */
  readonly problems: readonly string[];
  /** [tokens, vocab], row by row, in f32. */
  readonly logits: readonly number[];
}

/** What transformers makes of folders, each with a text. */
export function transformersModels(
  requests: readonly (readonly [folder: string, tokens: readonly number[]])[],
): TheirModel[] {
  const { status, stdout, stderr } = python(["-c", script, JSON.stringify(requests)]);
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
}

const python = (args: readonly string[]) =>
  spawnSync("python3", args, {
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    env: { ...process.env, HF_HUB_OFFLINE: "1", TOKENIZERS_PARALLELISM: "false" },
  });

/** Why transformers cannot be asked; undefined where it can. */
export function whyNoTransformers(): string | undefined {
  const { status, stderr } = python(["-c", "import torch; from transformers import LlamaForCausalLM"]);
  return status === 0
    ? undefined
    : `python3 has no torch and transformers: ${stderr?.trim().split("\n").at(-1) ?? "no python3"}`;
}
