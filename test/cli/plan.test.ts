// What `mspec plan` prints, and what it refuses.

import { describe, expect, test } from "vitest";
import { mspec } from "./run-mspec.ts";

const tiny = "specs/tiny.mspec.yaml";
const llama = "specs/llama-3.1-8b.mspec.yaml";

describe("plan", () => {
  test("says what a large model takes and how many devices hold it", async () => {
    const { status, stdout, stderr } = await mspec(["plan", llama]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^ {3}all +8,030,261,248 +8,030,261,248$/m);
    // 2 * 8 heads * 128 channels * 32 layers, 4, 2 and 1 bytes each.
    expect(stdout).toMatch(/^ {3}bytes per token +262,144 +131,072 +65,536$/m);
    // 29.9 GiB of f32 and 32 KiB for each of 65,536 tokens.
    expect(stdout).toMatch(/^ {3}weights f32, cache f32 +29.9 GiB +16 GiB +45.9 GiB$/m);
    expect(stdout).toMatch(/^ {3}WebAssembly, one memory, 4 GiB( +too large){4}$/m);
    // (32,121,044,992 + 17,179,869,184) / 80e9; half of the cache and of the weights; 16 bytes a parameter to train.
    expect(stdout).toMatch(/^ {3}H100 SXM, 80 GB +62 % +31 % +23 % +2 x$/m);
    expect(stdout).toContain("the spec has no train section");
  });

  test("takes a small model's activations from its memory plan and says whether it fits wasm", async () => {
    const { status, stdout } = await mspec(["plan", tiny, "--context", "32"]);
    expect(status).toBe(0);
    expect(stdout).toContain("activations: of the memory plan for wasm");
    expect(stdout).toMatch(/^wasm: \S+ MiB of 4 GiB \(parameters/m);
    expect(stdout).toMatch(/^ {3}kept of 32 tokens +8 KiB +4 KiB +2 KiB$/m);
  });

  test("shows the whole arithmetic of one device", async () => {
    const { stdout } = await mspec(["plan", llama, "--device", "h100"]);
    expect(stdout).toContain("serve f32: 49,300,914,176 bytes / 80,000,000,000 bytes = 0.62: fits\n");
    expect(stdout).toContain("train f32: 128,484,179,968 bytes / 80,000,000,000 bytes = 1.61: does not fit");
    expect(stdout).not.toContain("RTX");
  });

  test("refuses a context that the model is not built for, with the way out", async () => {
    const { status, stdout, stderr } = await mspec(["plan", tiny, "--context", "65"]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain("plan/context-too-long: `--context 65` is more than the 64 positions");
    const { status: way } = await mspec(["plan", tiny, "--context", "65", "--set", "model.context=65"]);
    expect(way).toBe(0);
  });
});
