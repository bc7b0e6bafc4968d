// The pipelines of a manifest's kernels: each kernel's text for this adapter, its module, and what the driver says of it.

import type { Manifest, ManifestKernel, ManifestLaunch } from "../contract.ts";
import * as messages from "../messages/webgpu.ts";
import { bindingsOf } from "./webgpu-operands.ts";
import type { GpuResources } from "./webgpu-resources.ts";

/** The pipeline of a launch. */
export type PipelineOf = (launch: ManifestLaunch) => GPUComputePipeline;

export type ReadText = (path: string) => Promise<string>;

interface KernelText {
  readonly file: string;
  /** Of the text as it was compiled. */
  readonly sha256: string;
  readonly text: string;
  readonly module: GPUShaderModule;
}

/** A kernel as it is launched: with so many bindings. */
interface Wanted {
  readonly kernel: ManifestKernel;
  readonly launch: ManifestLaunch;
  readonly layout: GPUPipelineLayout;
}

/**
 * Makes all pipelines of a manifest: a GPU's driver all at once on its threads; a software driver one by one, because what
 * Dawn does in Node while it waits for them takes twice the time that they do.
 *
 * Errors: `device/kernel-refused`, `device/too-many-bindings`.
 */
export async function createPipelines(
  manifest: Manifest,
  resources: GpuResources,
  readText: ReadText,
  isSoftware: boolean,
): Promise<PipelineOf> {
  const wanted = [...wantedPipelines(manifest, resources)];
  const texts = await createModules(
    wanted.map(([, want]) => want),
    resources,
    readText,
  );
  const pipelines = new Map<string, GPUComputePipeline>();
  const make = async ([key, want]: (typeof wanted)[number]) => {
    pipelines.set(key, await createPipeline(want, texts, resources, isSoftware ? createNow : createLater));
  };
  if (isSoftware) for (const want of wanted) await make(want);
  else await Promise.all(wanted.map(make));
  return (launch) => {
    const pipeline = pipelines.get(pipelineKey(launch));
    if (pipeline === undefined) throw new RangeError(`kernel ${launch.kernel} has no pipeline for its bindings`);
    return pipeline;
  };
}

function pipelineKey(launch: ManifestLaunch): string {
  const { numStorage, numWords } = bindingsOf(launch);
  return `${launch.kernel}/${numStorage}/${numWords > 0}`;
}

function wantedPipelines(manifest: Manifest, resources: GpuResources): Map<string, Wanted> {
  const wanted = new Map<string, Wanted>();
  for (const launch of manifest.programs.flatMap(({ waves }) => waves.flat())) {
    const key = pipelineKey(launch);
    if (wanted.has(key)) continue;
    const kernel = manifest.kernels[launch.kernel];
    if (kernel === undefined) throw new RangeError(`manifest has no kernel ${launch.kernel}`);
    const { numStorage, numWords } = bindingsOf(launch);
    const most = resources.device.limits.maxStorageBuffersPerShaderStage;
    if (numStorage > most) throw messages.tooManyBindings(kernel.name, launch.path, numStorage, most);
    const bindGroupLayouts = [resources.bindGroupLayout(numStorage, numWords > 0)];
    wanted.set(key, { kernel, launch, layout: resources.device.createPipelineLayout({ bindGroupLayouts }) });
  }
  return wanted;
}

/** The file of a kernel for a device: the first of its variants whose features are there, or the kernel's own. */
function fileFor(kernel: ManifestKernel, features: ReadonlySet<string>): Pick<ManifestKernel, "file" | "sha256"> {
  const { variants = [] } = kernel;
  return variants.find((variant) => variant.features.every((feature) => features.has(feature))) ?? kernel;
}

/** Modules by kernel name; files with the same text share one. */
async function createModules(
  wanted: readonly Wanted[],
  { device, features }: GpuResources,
  readText: ReadText,
): Promise<ReadonlyMap<string, KernelText>> {
  const files = [...new Set(wanted.map(({ kernel }) => fileFor(kernel, features).file))];
  const texts = new Map(await Promise.all(files.map(async (file) => [file, await readText(file)] as const)));
  const modules = new Map<string, GPUShaderModule>();
  // What is wrong with a module is told with its pipeline, by name and line.
  device.pushErrorScope("validation");
  for (const [file, code] of texts) {
    if (!modules.has(code)) modules.set(code, device.createShaderModule({ label: file, code }));
  }
  await device.popErrorScope();
  const kernels = new Map<string, KernelText>();
  for (const { kernel } of wanted) {
    const { file, sha256 } = fileFor(kernel, features);
    const text = texts.get(file) ?? "";
    const module = modules.get(text);
    if (module !== undefined) kernels.set(kernel.name, { file, sha256, text, module });
  }
  return kernels;
}

type Create = (device: GPUDevice, descriptor: GPUComputePipelineDescriptor) => Promise<GPUComputePipeline>;

const createLater: Create = (device, descriptor) => device.createComputePipelineAsync(descriptor);

const createNow: Create = async (device, descriptor) => {
  device.pushErrorScope("validation");
  const pipeline = device.createComputePipeline(descriptor);
  const error = await device.popErrorScope();
  if (error !== null) throw new Error(error.message);
  return pipeline;
};

async function createPipeline(
  { kernel, launch, layout }: Wanted,
  texts: ReadonlyMap<string, KernelText>,
  { device, statistics }: GpuResources,
  create: Create,
): Promise<GPUComputePipeline> {
  const source = texts.get(kernel.name);
  if (source === undefined) throw new RangeError(`kernel ${kernel.name} has no text`);
  const { module } = source;
  try {
    const compute = { module, entryPoint: kernel.name };
    const pipeline = await create(device, { label: kernel.name, layout, compute });
    statistics.pipelines++;
    return pipeline;
  } catch (error) {
    throw await refusal(source, launch.path, error);
  }
}

/** Why the driver takes no pipeline: an error in the text, with its place, or what it says of the whole. */
async function refusal({ file, sha256, text, module }: KernelText, path: string, error: unknown): Promise<Error> {
  const isAsCompiled = (await checksumOf(text)) === sha256;
  const info = await module.getCompilationInfo();
  const found = info.messages.find(({ type }) => type === "error");
  if (found === undefined) return messages.kernelRefused({ file, path, isAsCompiled }, error);
  const { lineNum: line, linePos: column, message } = found;
  const source = text.split("\n")[line - 1] ?? "";
  return messages.kernelError({ file, path, isAsCompiled, line, column, message, source });
}

/** SHA-256 of a text, as manifests write it. */
async function checksumOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
