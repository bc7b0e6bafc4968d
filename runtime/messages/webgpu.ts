// What can go wrong with WebGPU: no adapter, too small a one, kernels that it refuses, a device that is lost.

import { Fault } from "../fault.ts";

const takeWasm = "take `--device wasm`, which computes on the CPU";
const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";

export const noDawn = (cause: unknown): Fault =>
  new Fault({
    code: "device/no-dawn",
    kind: "environment",
    claim: "the package `webgpu`, which is WebGPU for Node, cannot be loaded",
    details: [reasonOf(cause)],
    help: `\`npm install webgpu\`, or ${takeWasm}`,
    cause,
  });

export const noVulkan = (missing: string): Fault =>
  new Fault({
    code: "device/no-vulkan",
    kind: "environment",
    claim: `WebGPU needs Vulkan on Linux, and here is ${missing}`,
    help: `install the GPU's driver and the package libvulkan1, or ${takeWasm}`,
  });

export const noSoftwareDriver = (reason: string, cause?: unknown): Fault =>
  new Fault({
    code: "device/no-software-driver",
    kind: "environment",
    claim: "there is no software driver of Vulkan for webgpu:software",
    details: [reason],
    help: `\`npm install @sparticuz/chromium\`, name a driver's file in VK_DRIVER_FILES, or ${takeWasm}`,
    cause,
  });

export const cacheUnwritable = (folder: string, cause: unknown): Fault =>
  new Fault({
    code: "device/cache-unwritable",
    kind: "environment",
    claim: "the software driver cannot be unpacked",
    at: folder,
    details: [reasonOf(cause)],
    help: "name a folder that can be written in MSPEC_CACHE",
    cause,
  });

export const noAdapter = (isSoftware: boolean): Fault =>
  new Fault({
    code: "device/no-adapter",
    kind: "environment",
    claim: isSoftware ? "WebGPU finds no software adapter" : "WebGPU finds no GPU",
    help: isSoftware ? takeWasm : `install the GPU's driver, or ${takeWasm}`,
  });

export const softwareOnly = (adapter: string): Fault =>
  new Fault({
    code: "device/software-adapter",
    kind: "environment",
    claim: `the only adapter of WebGPU is ${adapter}, which computes on the CPU and slower than wasm`,
    help: `${takeWasm}, or \`--device webgpu:software\` to test kernels`,
  });

export const notSoftware = (adapter: string): Fault =>
  new Fault({
    code: "device/no-adapter",
    kind: "environment",
    claim: `webgpu:software was asked for, and the adapter of WebGPU is ${adapter}, a GPU`,
    help: "take `--device webgpu`, or name a software driver's file in VK_DRIVER_FILES",
  });

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20).toLocaleString("en")} MiB`;
const makeSmaller = "make the model, train.batch.micro or serve.pages smaller";

export const doesNotFit = (model: string, what: string, needed: number, most: number, adapter: string): Fault =>
  new Fault({
    code: "device/does-not-fit",
    kind: "environment",
    claim: `${model} does not fit on ${adapter}`,
    details: [`${what} needs ${mebibytes(needed)} in one piece`, `this adapter gives at most ${mebibytes(most)}`],
    help: `${makeSmaller}, or ${takeWasm}`,
  });

export const allocationFailed = (model: string, what: string, needed: number, held: number, reason: string): Fault =>
  new Fault({
    code: "device/allocation-failed",
    kind: "environment",
    claim: `the GPU has no memory for ${what} of ${model}`,
    details: [`it needs ${mebibytes(needed)} more than the ${mebibytes(held)} that the model had by then`, reason],
    help: `close other programs that use the GPU, or ${makeSmaller}`,
  });

export const tooManyBindings = (kernel: string, path: string, needed: number, most: number): Fault =>
  new Fault({
    code: "device/too-many-bindings",
    kind: "environment",
    claim: `kernel ${kernel} takes more tensors than this adapter can bind`,
    at: path,
    details: [`it takes ${needed}, and the adapter binds at most ${most}`],
    help: takeWasm,
  });

interface RefusedKernel {
  readonly file: string;
  /** Path of an operation that runs the kernel. */
  readonly path: string;
  /** Whether the text is the one that was compiled, and not what became of it since. */
  readonly isAsCompiled: boolean;
}

interface KernelError extends RefusedKernel {
  readonly line: number;
  readonly column: number;
  readonly message: string;
  /** The line's text. */
  readonly source: string;
}

const reportIt = "report this with the spec: mspec wrote the kernel";
const isChanged = "the file is not what `mspec compile` wrote";
const compileAgain = "compile the spec again";

export const kernelError = ({ file, path, isAsCompiled, line, column, message, source }: KernelError): Fault =>
  new Fault({
    code: "device/kernel-refused",
    kind: "environment",
    claim: `the driver refuses a kernel: ${message}`,
    at: `${file}:${line}:${column}`,
    details: [source.trim(), `${path} runs it`, ...(isAsCompiled ? [] : [isChanged])],
    help: isAsCompiled ? reportIt : compileAgain,
  });

export const kernelRefused = ({ file, path, isAsCompiled }: RefusedKernel, cause: unknown): Fault =>
  new Fault({
    code: "device/kernel-refused",
    kind: "environment",
    claim: "the driver makes no pipeline of a kernel",
    at: file,
    details: [reasonOf(cause), `${path} runs it`, ...(isAsCompiled ? [] : [isChanged])],
    help: isAsCompiled ? `${takeWasm}, and ${reportIt}` : compileAgain,
    cause,
  });

export function runFailed(
  program: string,
  reason: string,
  launch: { kernel: string; path: string } | undefined,
): Fault {
  return new Fault({
    code: "device/run-failed",
    kind: "environment",
    claim: `the GPU refused ${program === "" ? "what it was asked for" : `a run of ${program}`}`,
    ...(launch === undefined ? {} : { at: `${launch.path}, kernel ${launch.kernel}` }),
    details: [reasonOf(reason)],
    help: "resume from the last checkpoint, and report this with the spec",
  });
}

export const lost = (adapter: string, program: string, reason: string): Fault =>
  new Fault({
    code: "device/lost",
    kind: "environment",
    claim: `the GPU was lost: ${adapter}`,
    details: [reason, ...(program === "" ? [] : [`the last program that it was given is ${program}`])],
    help: "resume from the last checkpoint; if it is lost again at the same program, make train.batch.micro or serve.tokens smaller: drivers end what takes seconds",
  });

export const noDevice = (adapter: string, cause: unknown): Fault =>
  new Fault({
    code: "device/no-device",
    kind: "environment",
    claim: `${adapter} gives no device`,
    details: [reasonOf(cause)],
    help: `close other programs that use the GPU, or ${takeWasm}`,
    cause,
  });
