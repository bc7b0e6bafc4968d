// How weights are read: never more at once than a part of one tensor, never past a file's end, and not at all from a file that
// changes meanwhile. Ids are rows of the catalogue of faults, see CONTRIBUTING.md.

import { mkdirSync, readdirSync, symlinkSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Family } from "../../runtime/files/hugging-face.ts";
import { importWeights } from "../../runtime/files/import-weights.ts";
import { nodeDisk } from "../../runtime/files/node-disk.ts";
import { writeSafetensors } from "../../runtime/files/safetensors-writer.ts";
import { openWeightShards, type WeightShards } from "../../runtime/files/weight-shards.ts";
import { scratchFolder } from "../cli/run-mspec.ts";
import { fixtureFolder, readJson } from "./checkpoints.ts";
import { parametersOfConfig } from "./family-parameters.ts";

const scratch = scratchFolder();
afterAll(() => scratch.remove());

let numFolders = 0;
function emptyFolder(): string {
  const folder = join(scratch.path, `folder-${numFolders++}`);
  mkdirSync(folder);
  return folder;
}

/** Opens the weights of a folder as an import does. */
async function opened<T>(
  folder: string,
  use: (shards: WeightShards, weights: Awaited<ReturnType<typeof importWeights>>) => Promise<T>,
): Promise<T> {
  const config = readJson(folder, "config.json");
  const scaleBlock = config.quantization_config?.weight_block_size;
  const shards = await openWeightShards(nodeDisk, folder);
  try {
    const family: Family = config.model_type;
    return await use(shards, await importWeights(shards, family, parametersOfConfig(config), { scaleBlock }));
  } finally {
    await shards.close();
  }
}

test.each([
  // Of gpt-oss one expert's gate and up, of FP8 a band of 128 rows as f32, of others one tensor.
  ["gpt_oss", 64 * 128 * 4, 512 * 64 * 4],
  ["deepseek_v3_fp8", 128 * 384 * 4, 768 * 256 * 2],
  ["mixtral", 112 * 80 * 4, 512 * 80 * 4],
])("%s: no read and no piece is larger than a part of one tensor", async (name, ofExperts, ofEmbedding) => {
  await opened(fixtureFolder(name, emptyFolder()), async (shards, { tensors }) => {
    const read = shards.readBytes.bind(shards);
    let [largest, reads] = [0, 0];
    shards.readBytes = (tensor, offset, length) => {
      const stored = shards.tensors.get(tensor);
      const end = (stored?.end ?? 0) - (stored?.begin ?? 0);
      expect(offset + length).toBeLessThanOrEqual(end);
      if (tensor.includes("experts")) largest = Math.max(largest, length);
      reads++;
      return read(tensor, offset, length);
    };
    let piece = 0;
    let isHeader = true;
    await writeSafetensors(tensors, {}, async (bytes) => {
      piece = isHeader ? 0 : Math.max(piece, bytes.length);
      isHeader = false;
    });
    expect(reads).toBeGreaterThan(30);
    expect(largest).toBeGreaterThan(0);
    expect(largest).toBeLessThanOrEqual(ofExperts);
    expect(piece).toBeLessThanOrEqual(Math.max(ofExperts, ofEmbedding));
  });
});

describe("C11: a file that becomes shorter while it is read", () => {
  test.each(["gpt_oss", "deepseek_v3_fp8", "mixtral", "qwen3_moe"])("%s", async (name) => {
    const folder = fixtureFolder(name, emptyFolder());
    await opened(folder, async (_shards, { tensors }) => {
      const files = readdirSync(folder).filter((file) => file.endsWith(".safetensors") && file.startsWith("model"));
      for (const file of files) truncateSync(join(folder, file), 4096);
      const written = writeSafetensors(tensors, {}, async () => undefined);
      await expect(written).rejects.toThrow(/the file changed while it was being read[\s\S]*\.safetensors/);
    });
  });
});

test("C9: files that are links are read, as in a cache of the hub; one that leads nowhere is missing", async () => {
  const from = fixtureFolder("qwen3_moe", emptyFolder());
  const folder = emptyFolder();
  for (const file of readdirSync(from)) symlinkSync(join(from, file), join(folder, file));
  await opened(folder, async (_shards, { tensors }) => expect(tensors.length).toBeGreaterThan(10));
  const broken = emptyFolder();
  for (const file of readdirSync(from)) {
    symlinkSync(file.includes("00003") ? join(from, "absent") : join(from, file), join(broken, file));
  }
  await expect(openWeightShards(nodeDisk, broken)).rejects.toThrow(/model-00003-of-00006\.safetensors/);
});
