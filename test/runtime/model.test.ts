import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { memorySource } from "../../runtime/build-source.ts";
import { Fault } from "../../runtime/fault.ts";
import { writeSafetensors } from "../../runtime/files/safetensors-writer.ts";
import type { Model } from "../../runtime/model.ts";
import { openModel } from "../../runtime/open-model.ts";
import { openTiny, sourceOf, tinySpec } from "./tiny-model.ts";

let model: Model;
let folder: string;
beforeAll(async () => {
  model = await openTiny();
  folder = await mkdtemp(join(tmpdir(), "mspec-model-"));
});
afterAll(async () => {
  await model.close();
  await rm(folder, { recursive: true });
});

/** A file of tensors by name, shape and values. */
async function weightsFile(
  name: string,
  tensors: readonly (readonly [string, readonly number[], Float32Array])[],
): Promise<string> {
  const path = join(folder, name);
  const pieces: Uint8Array[] = [];
  const sources = tensors.map(([tensor, shape, values]) => ({
    name: tensor,
    dtype: "F32" as const,
    shape,
    read: () => new Uint8Array(values.buffer),
  }));
  await writeSafetensors(sources, {}, async (bytes) => void pieces.push(bytes));
  await writeFile(path, Buffer.concat(pieces));
  return path;
}

/** The model's own parameters as a file, each changed by `edit`; undefined leaves it out. */
async function editedFile(
  name: string,
  edit: (
    tensor: readonly [string, readonly number[], Float32Array],
  ) => readonly [string, readonly number[], Float32Array] | undefined,
): Promise<string> {
  const tensors = [];
  for (const { name: parameter, dims } of model.manifest.parameters) {
    tensors.push([parameter, dims, await model.parameter(parameter)] as const);
  }
  return weightsFile(
    name,
    tensors.map(edit).filter((tensor) => tensor !== undefined),
  );
}

async function allParameters(of: Model): Promise<Float32Array[]> {
  return Promise.all(of.parameterNames.map((name) => of.parameter(name)));
}

describe("initial weights", () => {
  it("follow the rules of the spec: norms are ones, others have the rule's deviation and mean 0", async () => {
    await model.initialize();
    expect(new Set(await model.parameter("layers.1.ffn.norm.weight"))).toEqual(new Set([1]));
    const values = await model.parameter("embedding.weight");
    const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
    // 5,180 draws of deviation 0.02: the mean's own deviation is 2.8e-4, the deviation's 2e-4.
    expect(Math.abs(mean)).toBeLessThan(5 * 2.8e-4);
    expect(Math.abs(deviation - 0.02)).toBeLessThan(5 * 2e-4);
  });

  it("are the same for a seed, others for another one, and never the same in two parameters", async () => {
    await model.initialize(7);
    const first = await allParameters(model);
    await model.initialize(8);
    const other = await allParameters(model);
    await model.initialize(7);
    expect(await allParameters(model)).toEqual(first);
    expect(other).not.toEqual(first);
    const [gate, up] = await Promise.all(["gate", "up"].map((name) => model.parameter(`layers.0.ffn.${name}.weight`)));
    expect(gate).not.toEqual(up);
  });

  it("are the spec's seed unless another is given", async () => {
    await model.initialize();
    const own = await allParameters(model);
    await model.initialize(5);
    expect(await allParameters(model)).toEqual(own);
  });
});

describe("parameters by name", () => {
  it("are refused by an unknown name or another length before anything changes", async () => {
    await model.initialize();
    const before = await allParameters(model);
    const norm = new Float32Array(20).fill(3);
    const wrongName: [string, Float32Array][] = [
      ["final_norm.weight", norm],
      ["layers.0.attention.qq.weight", norm],
    ];
    await expect(model.setParameters(wrongName)).rejects.toThrow(/no-such-parameter.*layers\.0\.attention\.q\.weight/s);
    const wrongLength: [string, Float32Array][] = [
      ["final_norm.weight", norm],
      ["layers.0.attention.q.weight", norm],
    ];
    await expect(model.setParameters(wrongLength)).rejects.toThrow(/\[24, 20\]: 480 values/);
    expect(await allParameters(model)).toEqual(before);
  });

  it("change what the model computes at once", async () => {
    await model.initialize();
    const before = await model.logits([1, 2, 3]);
    await model.setParameters([["final_norm.weight", new Float32Array(20).fill(2)]]);
    const after = await model.logits([1, 2, 3]);
    // The head is linear and the norm's gain a power of two: every logit doubles exactly.
    expect(after).toEqual(before.map((logit) => 2 * logit));
  });
});

describe("weights from a file", () => {
  it("are loaded whole", async () => {
    await model.initialize(11);
    const before = await allParameters(model);
    const path = await editedFile("whole.safetensors", (tensor) => tensor);
    await model.initialize(12);
    await model.loadWeights(path);
    expect(await allParameters(model)).toEqual(before);
  });

  it("tell every difference at once, with the nearest names, and load nothing (C8)", async () => {
    await model.initialize(11);
    const before = await allParameters(model);
    const path = await editedFile("different.safetensors", ([name, shape, values]) => {
      if (name === "final_norm.weight") return undefined;
      if (name === "layers.0.attention.q.weight") return ["layers.0.attn.q.weight", shape, values];
      if (name === "layers.1.ffn.down.weight") return [name, [28, 20], values];
      return [name, shape, values.map((v) => v + 1)];
    });
    const error = await model.loadWeights(path).catch((e: unknown) => e);
    expect(String(error)).toContain("model/weights-differ");
    expect(String(error)).toContain("layers.0.attention.q.weight is missing");
    expect(String(error)).toContain("layers.0.attn.q.weight is nearest");
    expect(String(error)).toContain("final_norm.weight is missing");
    expect(String(error)).toContain("layers.0.attn.q.weight is not a parameter of the model");
    expect(String(error)).toContain(
      "layers.1.ffn.down.weight has shape [28, 20], the model has [20, 28]: it is transposed",
    );
    expect(await allParameters(model)).toEqual(before);
  });

  it("that hold NaN are refused with count and place (C7)", async () => {
    await model.initialize(11);
    const before = await allParameters(model);
    const path = await editedFile("nan.safetensors", ([name, shape, values]) => {
      const isBad = name === "layers.1.ffn.up.weight";
      return [name, shape, isBad ? values.map((v, i) => (i === 5 || i === 9 ? Number.NaN : v)) : values];
    });
    await expect(model.loadWeights(path)).rejects.toThrow(/2 values in all tensors, the first one here at element 5/);
    expect(await allParameters(model)).toEqual(before);
  });
});

describe("opening", () => {
  it("refuses a manifest of another version", async () => {
    const source = memorySource(new Map([["manifest.json", '{"version": 999}']]));
    await expect(openModel(source)).rejects.toThrow(
      /model\/wrong-version.*version 999; this runtime runs version \d+/s,
    );
  });

  it("refuses a manifest that lacks a part, kernels that are none, with the file and the way out", async () => {
    const source = await sourceOf(tinySpec);
    const [text, module] = [await source.text("manifest.json"), await source.bytes("wasm/kernels.wasm")];
    const lacking = (part: string, value: unknown) => JSON.stringify({ ...JSON.parse(text), [part]: value });
    for (const [manifest, kernels, message] of [
      ['{"version":1}', module, /model\/bad-manifest.*somewhere\/manifest\.json.*`name` is missing.*compile/s],
      ["null", module, /model\/wrong-version/],
      [lacking("programs", null), module, /model\/bad-manifest.*somewhere\/manifest\.json.*`programs`.*compile/s],
      [lacking("training", { ...JSON.parse(text).training, losses: 1 }), module, /model\/bad-manifest.*`training`/s],
      [lacking("tensors", []), module, /model\/bad-manifest.*somewhere\/manifest\.json.*names no tensor/s],
      [lacking("arenas", {}), module, /model\/bad-manifest.*unknown arena/s],
      [text, Uint8Array.of(1, 2, 3), /model\/bad-module.*somewhere\/wasm\/kernels\.wasm.*compile/s],
    ] as const) {
      const files = memorySource(
        new Map<string, string | Uint8Array>([
          ["manifest.json", manifest],
          ["wasm/kernels.wasm", kernels],
        ]),
      );
      const error: unknown = await openModel({ ...files, place: "somewhere" }, { threads: 2 }).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(Fault);
      expect(String(error)).toMatch(message);
    }
  });

  it("refuses a folder as weights or tokenizer", async () => {
    await expect(model.loadWeights(folder)).rejects.toMatchObject({ kind: "input", code: "model/not-a-file" });
    const opened = openModel(await sourceOf(tinySpec), { tokenizer: folder });
    await expect(opened).rejects.toMatchObject({ kind: "input", code: "model/not-a-file" });
  });

  it("refuses what is no manifest", async () => {
    const source = memorySource(new Map([["manifest.json", "<html>"]]));
    await expect(openModel(source)).rejects.toThrow(/model\/bad-manifest/);
  });

  it("asks for weights before it computes with them", async () => {
    const empty = await openModel(await sourceOf(tinySpec), { threads: 1 });
    await expect(empty.logits([1])).rejects.toThrow(/model\/no-weights/);
    await expect(empty.generate({ prompt: [1] })).rejects.toThrow(/model\/no-weights/);
    await empty.close();
  });

  it("gives bits that do not depend on the number of threads", async () => {
    await model.initialize();
    const tokens = Array.from({ length: 40 }, (_, i) => (i * 37) % 256);
    const expected = await model.logits(tokens);
    for (const threads of [2, 3]) {
      const other = await openTiny(tinySpec, [], { threads });
      await other.initialize();
      expect(await other.logits(tokens)).toEqual(expected);
      await other.close();
    }
  });
});

describe("a model that is closed or at work", () => {
  const calls: readonly (readonly [string, (of: Model) => Promise<unknown>])[] = [
    ["parameter", (of) => of.parameter("final_norm.weight")],
    ["setParameters", (of) => of.setParameters([])],
    ["initialize", (of) => of.initialize()],
    ["loadWeights", (of) => of.loadWeights(join(folder, "whole.safetensors"))],
    ["train", (of) => of.train({ base: folder })],
    ["evaluate", (of) => of.evaluate(["some text"])],
    ["logits", (of) => of.logits([1])],
    ["generate", (of) => of.generate({ prompt: [1] })],
    ["generateAll", (of) => of.generateAll([])],
    ["sampleText", (of) => of.sampleText()],
  ];

  it("answers every call with a fault once it is closed, and closing twice is fine", async () => {
    const gone = await openTiny();
    await gone.initialize();
    await gone.close();
    for (const [name, call] of calls) {
      await expect(call(gone), name).rejects.toMatchObject({ name: "Fault", code: "model/closed" });
    }
    await gone.close();
    await expect(gone.device.run("derive")).rejects.toMatchObject({ code: "device/closed" });
    expect(() => gone.device.write("final_norm.weight", Float32Array.of(1))).toThrow(/device\/closed/);
  });

  it("ends the call that is at work when it is closed", async () => {
    const gone = await openTiny(tinySpec, [], { threads: 2 });
    await gone.initialize();
    const working = gone.generate({ prompt: [1], maxTokens: 40, onToken: () => void gone.close() });
    await expect(working).rejects.toMatchObject({ code: "device/closed" });
  });

  it("refuses a second call with the way out, and the first one is not disturbed", async () => {
    await model.initialize();
    const alone = await model.generate({ prompt: [1], maxTokens: 20 });
    const first = model.generate({ prompt: [1], maxTokens: 20 });
    for (const [name, call] of calls.slice(1)) {
      await expect(call(model), name).rejects.toThrow(new RegExp(`model/busy.*\`${name}\`.*\`generate\`.*await`, "s"));
    }
    expect((await first).tokens).toEqual(alone.tokens);
    await expect(model.generate({ prompt: [1], maxTokens: 2 })).resolves.toBeDefined();
  });
});
