// `mspec verify`: what PyTorch computed is found equal, and any one number that is changed is found and named.

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { mspec, type Ran, scratchFolder } from "../cli/run-mspec.ts";
import { fixtureFolder, readJson, readTensors, type Stored, writeFile } from "./checkpoints.ts";

const scratch = scratchFolder();
afterAll(() => scratch.remove());
afterEach(() => {
  // The verb sets it for the process that it runs in.
  process.exitCode = undefined;
});

const references = new Map<string, string>();
const models = new Map<string, string>();
beforeAll(async () => {
  for (const name of ["llama_gqa_untied", "llama_tied_bf16", "stories260K"]) {
    const folder = fixtureFolder(name, scratch.path);
    const out = join(scratch.path, `${name}-imported`);
    expect((await mspec(["import", folder, "-o", out])).status).toBe(0);
    references.set(name, folder);
    models.set(name, out);
  }
});

interface Row {
  readonly compared: number;
  readonly error: number;
  readonly tolerance: number;
  readonly isWithin: boolean;
  readonly worst: string;
}

const verify = (name: string, reference = references.get(name) ?? "", model = models.get(name) ?? ""): Promise<Ran> =>
  mspec(["verify", model, "--reference", reference]);

/** The table that was printed, by quantity. */
function rowsOf(stdout: string): ReadonlyMap<string, Row> {
  const [summary] = stdout.split("\n\n");
  const lines = summary.split("\n").flatMap((line) => {
    const [, quantity, compared, error, tolerance, verdict, worst] =
      /^(\w+) +(\d+) +(\S+) +(\S+) +.*? {2}(within|DIFFERS) *(.*)$/.exec(line) ?? [];
    const numbers = [compared, error, tolerance].map(Number);
    return quantity === undefined
      ? []
      : [
          [
            quantity,
            { compared: numbers[0], error: numbers[1], tolerance: numbers[2], isWithin: verdict === "within", worst },
          ] as const,
        ];
  });
  return new Map(lines);
}

describe("what PyTorch computed", () => {
  test.each([
    ["llama_gqa_untied", { hidden: 4, logits: 4, greedy: 4, loss: 1, gradients: 30, update: 30 }, []],
    [
      "llama_tied_bf16",
      { logits: 2, greedy: 4, loss: 1, gradients: 9 },
      [
        "hidden: the reference has no hidden.i",
        "gradients: the reference has none for 20 of 29",
        "update: the reference has no after3.safetensors",
      ],
    ],
    [
      "stories260K",
      { logits: 3, greedy: 5 },
      ["hidden: the reference has no hidden.i", "loss, gradients, update: the reference has no batches"],
    ],
  ])("%s", async (name, compared, skipped) => {
    const { status, stdout, stderr } = await verify(name);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const rows = rowsOf(stdout);
    expect(Object.fromEntries([...rows].map(([quantity, row]) => [quantity, row.compared]))).toEqual(compared);
    const tolerances = { hidden: 1e-4, logits: 2e-4, greedy: 0, loss: 1e-5, gradients: 1e-3, update: 1e-2 };
    for (const [quantity, { error, tolerance, isWithin }] of rows) {
      expect(tolerance).toBe(tolerances[quantity as keyof typeof tolerances]);
      expect(error).toBeLessThanOrEqual(tolerance);
      expect(isWithin).toBe(true);
    }
    for (const sentence of skipped) expect(stdout).toContain(`skipped: ${sentence}`);
    expect(stdout.match(/^skipped: /gm)?.length ?? 0).toBe(skipped.length);
  });
});

let numFolders = 0;

/** A copy of a folder in which one tensor of a file is another. */
async function withTensor(
  folder: string,
  file: string,
  name: string,
  change: (tensor: Stored) => Uint8Array,
): Promise<string> {
  const copy = join(scratch.path, `changed-${numFolders++}`);
  cpSync(folder, copy, { recursive: true });
  const tensors = await readTensors(join(copy, file));
  expect(tensors.has(name)).toBe(true);
  const sources = [...tensors].map(([key, tensor]) => ({
    name: key,
    dtype: tensor.dtype,
    shape: tensor.shape,
    read: () => (key === name ? change(tensor) : tensor.bytes),
  }));
  rmSync(join(copy, file));
  await writeFile(join(copy, file), sources);
  return copy;
}

const floats =
  (change: (values: Float32Array) => void) =>
  ({ bytes }: Stored): Uint8Array => {
    const values = new Float32Array(bytes.slice().buffer);
    change(values);
    return new Uint8Array(values.buffer);
  };

describe("one number that is changed", () => {
  const name = "llama_gqa_untied";
  const reference = () => references.get(name) ?? "";

  /** The quantities that differ, each with where. */
  const differing = async (folder: string, model = models.get(name)): Promise<Readonly<Record<string, string>>> => {
    const { status, stdout } = await verify(name, folder, model);
    const rows = rowsOf(stdout);
    expect(rows.size).toBe(6);
    const wrong = [...rows].filter(([, { isWithin }]) => !isWithin);
    expect(status).toBe(wrong.length === 0 ? 0 : 1);
    return Object.fromEntries(wrong.map(([quantity, { worst }]) => [quantity, worst]));
  };

  test.each<[string, string, (values: Float32Array) => void, Readonly<Record<string, string>>]>([
    [
      "ref.safetensors",
      "logits.2",
      (values) => {
        values[3 * 512 + 7] += 3e-4;
      },
      { logits: "prompt 2, position 3, token 7" },
    ],
    [
      "ref.safetensors",
      "logits.1",
      (values) => {
        values[9] = Number.NaN;
      },
      { logits: "prompt 1, position 0, token 9" },
    ],
    [
      "grads.safetensors",
      "model.layers.1.mlp.up_proj.weight",
      (values) => {
        for (const i of values.keys()) values[i] *= 1.002;
      },
      { gradients: "layers.1.ffn.up.weight" },
    ],
    [
      "after3.safetensors",
      "model.layers.2.self_attn.k_proj.weight",
      (values) => {
        for (const i of values.keys()) values[i] += 1e-4;
      },
      { update: "layers.2.attention.k.weight" },
    ],
  ])("%s: %s", async (file, tensor, change, expected) => {
    expect(await differing(await withTensor(reference(), file, tensor, floats(change)))).toEqual(expected);
  });

  test("a hidden state names the first layer that differs", async () => {
    const folder = await withTensor(
      reference(),
      "ref.safetensors",
      "hidden.1",
      floats((values) => {
        for (const i of values.keys()) values[i] *= 1.001;
      }),
    );
    expect(await differing(folder)).toEqual({ hidden: "layers.0" });
    expect((await verify(name, folder)).stdout).toContain("\nthe first layer that differs: layers.0\n");
  });

  test("every tensor has a row with its error and tolerance, all of them if asked for", async () => {
    const some = (await verify(name)).stdout;
    const all = (await mspec(["verify", models.get(name) ?? "", "--reference", reference(), "--all"])).stdout;
    const rows = (text: string) => text.match(/^ {2}layers\.\d\.\S+ +\S+ +of 1\.0e-3 +within$/gm)?.length ?? 0;
    expect(rows(some)).toBeLessThanOrEqual(10);
    // Nine of each of three layers; embedding, final norm and head are in no layer.
    expect(rows(all)).toBe(27);
    expect(some).toContain("gradients, the 10 largest errors of 30; --all prints all");
  });

  test("a greedy token", async () => {
    const folder = await withTensor(reference(), "ref.safetensors", "greedy.3", ({ bytes }) => {
      const tokens = new BigInt64Array(bytes.slice().buffer);
      tokens[5] += 1n;
      return new Uint8Array(tokens.buffer);
    });
    expect(await differing(folder)).toEqual({ greedy: "prompt 3, new token 5: 98, there 99" });
  });

  test("the loss", async () => {
    const folder = join(scratch.path, `changed-${numFolders++}`);
    cpSync(reference(), folder, { recursive: true });
    const facts = readJson(folder, "ref.json");
    writeFileSync(join(folder, "ref.json"), JSON.stringify({ ...facts, loss_batch0: facts.loss_batch0 * (1 + 2e-5) }));
    expect(await differing(folder)).toEqual({ loss: "batch 0" });
  });

  test("a weight of the model", async () => {
    const model = await withTensor(
      models.get(name) ?? "",
      "model.safetensors",
      "layers.1.attention.v.weight",
      floats((values) => {
        values[17] += 0.01;
      }),
    );
    expect(Object.keys(await differing(reference(), model))).toContain("logits");
  });

  test("a number of the spec", async () => {
    const model = join(scratch.path, `changed-${numFolders++}`);
    cpSync(models.get(name) ?? "", model, { recursive: true });
    const text = readFileSync(join(model, "model.yaml"), "utf8");
    writeFileSync(join(model, "model.yaml"), text.replace("low_freq_factor: 1 ", "low_freq_factor: 1.1 "));
    expect(Object.keys(await differing(reference(), model))).toContain("logits");
  });
});

describe("references that say nothing, or are of another model", () => {
  test("nothing compared is no success", async () => {
    const folder = await onlyTensors({ "prompt.0": [1, 2, 3] });
    const { status, stdout } = await verify("stories260K", folder);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^nothing was compared: /);
  });

  test.each<[Readonly<Record<string, readonly number[]>>, string]>([
    [{ "prompt.0": [1, 512], "greedy.0": [1] }, "prompt.0 holds token 512, the model has 512"],
    [{ "prompt.0": [1, -1], "greedy.0": [1] }, "prompt.0 holds token -1, the model has 512"],
    [{ "prompt.0": [1, 2], "logits.0": [1, 2] }, "logits.0 is [2], the model's are [2, 512]"],
    [{ batches: [1, 2], labels: [1, 2] }, "batches and labels must both be [batches, sequences, tokens]"],
  ])("%j", async (tensors, sentence) => {
    const { status, stderr } = await verify("stories260K", await onlyTensors(tensors));
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(sentence) });
  });

  test("no folder, and gradients of another model", async () => {
    const absent = await verify("stories260K", join(scratch.path, "absent"));
    expect(absent.status).toBe(2);
    expect(absent.stderr).toMatch(/^verify\/no-reference: /);
    const { status, stderr } = await verify("llama_gqa_untied", references.get("llama_tied_bf16"));
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(/^verify\/other-model: /) });
  });

  async function onlyTensors(tensors: Readonly<Record<string, readonly number[]>>): Promise<string> {
    const folder = join(scratch.path, `made-${numFolders++}`);
    mkdirSync(folder);
    const sources = Object.entries(tensors).map(([name, values]) => ({
      name,
      dtype: "I64" as const,
      shape: [values.length],
      read: () => new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
    }));
    await writeFile(join(folder, "ref.safetensors"), sources);
    return folder;
  }
});
