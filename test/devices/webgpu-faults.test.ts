// What the WebGPU device says when something goes wrong: kernels, limits, memory, the loss of the GPU.

import { createHash } from "node:crypto";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { beforeEach, describe, expect, test } from "vitest";
import { create } from "webgpu";
import type { Manifest, ManifestKernel } from "../../runtime/contract.ts";
import { openDawn } from "../../runtime/devices/node-dawn.ts";
import { openWebGpu } from "../../runtime/devices/webgpu.ts";
import { openOnSoftwareGpu, textsOf, whyNoSoftwareGpu } from "./software-gpu.ts";
import { kernelTexts, launchOf, tensorAt, tinyGpuModel } from "./tiny-gpu-model.ts";

beforeEach(({ skip }) => skip(whyNoSoftwareGpu !== undefined, whyNoSoftwareGpu));

/** Dawn without any GPU: it compiles, and computes nothing. */
const nullGpu = create(["backend=null"]);

/** The software GPU with devices that `change` has changed. */
async function gpuWith(change: (device: GPUDevice) => void): Promise<GPU> {
  const gpu = await openDawn({ isSoftware: true });
  const requestAdapter = async (options?: GPURequestAdapterOptions) => {
    const adapter = await gpu.requestAdapter(options);
    if (adapter === null) return null;
    const requestDevice = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => {
      const device = await requestDevice(descriptor);
      change(device);
      return device;
    };
    return adapter;
  };
  return Object.assign(Object.create(gpu), { requestAdapter });
}

describe("kernels", () => {
  test("an error in a kernel is told by file, line and column, and by an operation that runs it", async () => {
    const texts = new Map(kernelTexts);
    texts.set("wgsl/tick.wgsl", "// A comment.\n@compute @workgroup_size(1) fn tick() { absent = 1; }\n");
    await expect(openOnSoftwareGpu(tinyGpuModel, texts)).rejects.toMatchObject({
      code: "device/kernel-refused",
      at: "wgsl/tick.wgsl:2:41",
      claim: expect.stringContaining("unresolved value 'absent'"),
      details: [
        "@compute @workgroup_size(1) fn tick() { absent = 1; }",
        "model.tick runs it",
        "the file is not what `mspec compile` wrote",
      ],
      help: "compile the spec again",
    });
  });

  test("an error in a kernel whose text is the one that was compiled is mspec's, and to be reported", async () => {
    const text = "@compute @workgroup_size(1) fn tick() { absent = 1; }\n";
    const sha256 = createHash("sha256").update(text).digest("hex");
    const kernels = tinyGpuModel.kernels.map((kernel) => (kernel.name === "tick" ? { ...kernel, sha256 } : kernel));
    const texts = new Map([...kernelTexts, ["wgsl/tick.wgsl", text]]);
    await expect(openOnSoftwareGpu({ ...tinyGpuModel, kernels }, texts)).rejects.toMatchObject({
      code: "device/kernel-refused",
      details: [text.trim(), "model.tick runs it"],
      help: expect.stringContaining("report this"),
    });
  });

  test("on a GPU, whose driver makes them all at once, it is told alike", async () => {
    const texts = new Map(kernelTexts);
    texts.set("wgsl/tick.wgsl", "// A comment.\n@compute @workgroup_size(1) fn tick() { absent = 1; }\n");
    const options = { gpu: nullGpu, isSoftware: false };
    await expect(openWebGpu(tinyGpuModel, textsOf(texts), options)).rejects.toMatchObject({
      code: "device/kernel-refused",
      at: "wgsl/tick.wgsl:2:41",
    });
    const device = await openWebGpu(tinyGpuModel, textsOf(kernelTexts), options);
    expect(device.name).toBe("webgpu");
    expect(device.statistics.pipelines).toBe(5);
    await device.run("tick");
    await device.close();
  });

  test("a kernel that asks for more workgroup memory than there is, is told by its file", async () => {
    const texts = new Map(kernelTexts);
    texts.set(
      "wgsl/swap.wgsl",
      `var<workgroup> much: array<f32, 60000>;
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(1) fn swap(@builtin(workgroup_id) id: vec3u) { much[id.x] = 1; x[0] = much[id.x + 1]; }`,
    );
    await expect(openOnSoftwareGpu(tinyGpuModel, texts)).rejects.toThrow(
      /device\/kernel-refused.*swap\.wgsl.*240000 bytes.*model\.swap runs it/s,
    );
  });

  test("of a kernel's variants the first is read whose features are there", async () => {
    const variant = (...features: string[]) => ({ features, file: `wgsl/tick-${features[0]}.wgsl`, sha256: "" });
    const kernels: ManifestKernel[] = tinyGpuModel.kernels.map((kernel) =>
      kernel.name === "tick" ? { ...kernel, variants: [variant("shader-f16"), variant("subgroups")] } : kernel,
    );
    const ten = (kernelTexts.get("wgsl/tick.wgsl") ?? "").replace("+= 1.0", "+= 10.0");
    const texts = new Map([...kernelTexts, ["wgsl/tick-subgroups.wgsl", ten]]);
    const device = await openOnSoftwareGpu({ ...tinyGpuModel, kernels }, texts);
    expect([...(await device.runAndRead("tick", {}, [{ tensor: "total" }]))[0]]).toEqual([10]);
    await device.close();
  });

  test("H4: a run that the GPU refuses fails by the launch that is to blame, and so does every call after it", async () => {
    const twice = launchOf(
      "scale",
      1,
      { tensor: "x" },
      { tensor: "x" },
      { tensor: "scalars" },
      { count: 8 },
      { count: 1 },
    );
    const fine = launchOf("tick", 1, { tensor: "scalars" }, { scalar: "total" });
    const program = { name: "twice", waves: [[fine], [twice], [fine]], tensors: [], inputs: [], results: {} };
    const programs = [...tinyGpuModel.programs, program];
    const device = await openOnSoftwareGpu({ ...tinyGpuModel, programs }, kernelTexts);
    await expect(device.runAndRead("twice", {}, [{ tensor: "x" }])).rejects.toThrow(
      /device\/run-failed: the GPU refused a run of twice\n {2}model\.scale, kernel scale\n.*overlap/s,
    );
    await expect(device.run("tick")).rejects.toThrow(/device\/run-failed.*twice/s);
    await expect(device.read("x")).rejects.toThrow(/device\/run-failed/);
    await device.close();
  });
});

describe("limits", () => {
  const mebibyte = 2 ** 20;
  /** A program that binds a table: all of it, or so many bytes. */
  const withTable = (arenaBytes: number, tableBytes: number, bytes?: number): Manifest => {
    const bound = { tensor: "huge.table", ...(bytes === undefined ? {} : { bytes }) };
    const waves = [[launchOf("swap", 1, bound)]];
    return {
      ...tinyGpuModel,
      arenas: { ...tinyGpuModel.arenas, huge: arenaBytes },
      tensors: [...tinyGpuModel.tensors, tensorAt("huge.table", [tableBytes / 4], { arena: "huge", offset: 0 })],
      programs: [{ name: "use", waves, tensors: [], inputs: [], results: {} }],
    };
  };

  test("an arena beyond one buffer is refused with both numbers", async () => {
    await expect(openOnSoftwareGpu(withTable(5000 * mebibyte, 4), kernelTexts)).rejects.toThrow(
      /device\/does-not-fit.*its huge needs 5,000 MiB in one piece.*at most 1,024 MiB.*--device wasm/s,
    );
  });

  test("a tensor that ends behind its arena is refused before the GPU is asked", async () => {
    await expect(openOnSoftwareGpu(withTable(1024, 2048), kernelTexts)).rejects.toThrow(
      new RangeError("huge.table ends at byte 2048 of huge, which has 1024"),
    );
    const { huge: _huge, ...arenas } = withTable(1024, 1024).arenas;
    await expect(openOnSoftwareGpu({ ...withTable(1024, 1024), arenas }, kernelTexts)).rejects.toThrow(
      new RangeError("tensor huge.table lies in unknown arena huge"),
    );
  });

  test("a tensor beyond one binding is refused by its name where all of it is bound, and taken in pieces", async () => {
    const gpu = await gpuWith((device) => {
      const limits = {
        maxBufferSize: 2 ** 30,
        maxStorageBufferBindingSize: mebibyte,
        maxStorageBuffersPerShaderStage: 8,
      };
      Object.defineProperty(device, "limits", { value: limits });
    });
    const options = { gpu, isSoftware: true };
    const opened = openWebGpu(withTable(4 * mebibyte, 3 * mebibyte), textsOf(kernelTexts), options);
    await expect(opened).rejects.toThrow(/tensor huge\.table needs 3 MiB in one piece.*at most 1 MiB/s);
    const piecewise = withTable(4 * mebibyte, 3 * mebibyte, mebibyte);
    await (await openWebGpu(piecewise, textsOf(kernelTexts), options)).close();
  });

  test("a kernel of more tensors than an adapter binds is refused by its name and operation", async () => {
    const many = launchOf("tick", 1, ...Array.from({ length: 40 }, () => ({ tensor: "x" })));
    const program = { name: "many", waves: [[many]], tensors: [], inputs: [], results: {} };
    await expect(openOnSoftwareGpu({ ...tinyGpuModel, programs: [program] }, kernelTexts)).rejects.toThrow(
      /device\/too-many-bindings: kernel tick.*model\.tick.*it takes 40, and the adapter binds at most \d+/s,
    );
  });

  test("a software adapter is no GPU, and is refused with its name", async () => {
    const gpu = await openDawn({ isSoftware: true });
    await expect(openWebGpu(tinyGpuModel, textsOf(kernelTexts), { gpu, isSoftware: false })).rejects.toThrow(
      /device\/software-adapter: the only adapter of WebGPU is .*SwiftShader.*--device wasm/s,
    );
  });
});

test("H3: where memory ends at any of the buffers, all earlier ones are freed and the numbers are told", async () => {
  const numBuffers = 10;
  for (let last = 1; last <= numBuffers + 1; last++) {
    const [made, freed] = [new Set<GPUBuffer>(), new Set<GPUBuffer>()];
    const gpu = await gpuWith((device) => {
      const create = device.createBuffer.bind(device);
      const pop = device.popErrorScope.bind(device);
      device.createBuffer = (descriptor) => {
        const buffer = create(descriptor);
        made.add(buffer);
        const destroy = buffer.destroy.bind(buffer);
        buffer.destroy = () => {
          freed.add(buffer);
          destroy();
        };
        return buffer;
      };
      device.popErrorScope = async () => {
        const error = await pop();
        return made.size === last ? ({ message: "out of memory" } as GPUError) : error;
      };
    });
    const opened = openWebGpu(tinyGpuModel, textsOf(kernelTexts), { gpu, isSoftware: true });
    if (last > numBuffers) {
      await (await opened).close();
    } else {
      await expect(opened).rejects.toThrow(
        /device\/allocation-failed: the GPU has no memory for .* of tiny gpu model\n {2}it needs [\d,]+ MiB more/,
      );
    }
    expect(made.size).toBe(Math.min(last, numBuffers));
    expect(freed).toEqual(made);
  }
});

describe("H2: a GPU that is lost", () => {
  test("while a reading is under way fails it and every later call, and the device can be closed", async () => {
    const device = await openOnSoftwareGpu(tinyGpuModel, kernelTexts);
    const runs = Array.from({ length: 8 }, () => device.runAndRead("tick", {}, [{ tensor: "total" }]));
    device.gpuDevice.destroy();
    const outcomes = await Promise.allSettled(runs);
    expect(outcomes.map(({ status }) => status)).toEqual(runs.map(() => "rejected"));
    for (const outcome of outcomes) {
      expect(String(outcome.status === "rejected" && outcome.reason)).toMatch(
        /device\/lost: the GPU was lost: webgpu:software, .*destroyed.*it was at work on 1 run of tick\n {2}most work is in kernel tick, 100 % of the planned bytes, at model\.tick/s,
      );
    }
    await expect(device.run("tick")).rejects.toThrow(/device\/lost/);
    expect(() => device.write("x", new Float32Array(8))).toThrow(/device\/lost/);
    await expect(device.read("x")).rejects.toThrow(/device\/lost/);
    await device.close();
  });

  test("while a model is opened is the reason why it is not", async () => {
    for (const last of [1, 5, 9]) {
      const gpu = await gpuWith((device) => {
        const create = device.createBuffer.bind(device);
        let made = 0;
        device.createBuffer = (descriptor) => {
          const buffer = create(descriptor);
          if (++made === last) device.destroy();
          return buffer;
        };
      });
      const opened = openWebGpu(tinyGpuModel, textsOf(kernelTexts), { gpu, isSoftware: true });
      await expect(opened).rejects.toThrow(/device\/lost/);
    }
    const gpu = await gpuWith((device) => {
      const create = device.createComputePipeline.bind(device);
      device.createComputePipeline = (descriptor) => {
        const pipeline = create(descriptor);
        device.destroy();
        return pipeline;
      };
    });
    const opened = openWebGpu(tinyGpuModel, textsOf(kernelTexts), { gpu, isSoftware: true });
    await expect(opened).rejects.toThrow(/device\/lost/);
  });

  test("a device that is closed was not lost: it says that it is closed", async () => {
    const device = await openOnSoftwareGpu(tinyGpuModel, kernelTexts);
    const reading = device.runAndRead("tick", {}, [{ tensor: "total" }]);
    await Promise.all([device.close(), expect(reading).rejects.toThrow(/device\/closed/)]);
    await expect(device.run("tick")).rejects.toThrow(/device\/closed/);
    expect(() => device.write("x", new Float32Array(8))).toThrow(/device\/closed/);
    await device.close();
  });
});

test("a device that was closed, or not opened, is collected: each would keep two threads", async () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const devices: WeakRef<GPUDevice>[] = [];
  const gpu = await gpuWith((device) => void devices.push(new WeakRef(device)));
  const options = { gpu, isSoftware: true };
  await (await openWebGpu(tinyGpuModel, textsOf(kernelTexts), options)).close();
  const texts = new Map([...kernelTexts, ["wgsl/tick.wgsl", "nonsense"]]);
  // An expectation of a promise would keep it, and with it the device, until the test ends.
  await openWebGpu(tinyGpuModel, textsOf(texts), options).catch(() => {});
  expect(devices).toHaveLength(2);
  await expect
    .poll(() => {
      collect();
      return devices.map((device) => device.deref() === undefined);
    })
    .toEqual([true, true]);
});
