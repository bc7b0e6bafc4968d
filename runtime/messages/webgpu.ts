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

/** The kernel that has most of some work by plan. */
export interface HeaviestKernel {
  readonly kernel: string;
  /** Of the launch of it that has most. */
  readonly path: string;
  readonly numLaunches: number;
  readonly share: number;
  readonly unit: "FLOPs" | "bytes";
}

/** What a GPU is at work on. */
export interface WorkAtHand {
  /** Such as `4 runs of micro_step and 1 of update`. */
  readonly text: string;
  /** Undefined where it only copies. */
  readonly heaviest: HeaviestKernel | undefined;
}

export interface Lateness {
  readonly work: WorkAtHand;
  readonly seconds: number;
  /** What such work took at most before, in seconds; undefined where there was none. */
  readonly longest: number | undefined;
  /** Seconds behind which it is given up. */
  readonly deadline: number;
}

function duration(seconds: number): string {
  if (seconds >= 300) return `${Math.floor(seconds / 60).toLocaleString("en")} minutes`;
  return `${seconds >= 10 ? Math.floor(seconds) : Number(seconds.toFixed(2))} s`;
}

/** Where most of the work is; whether that is what went wrong, nobody knows. */
function mostWork({ heaviest }: WorkAtHand): string[] {
  if (heaviest === undefined) return [];
  const { kernel, path, numLaunches, share, unit } = heaviest;
  const place = numLaunches === 1 ? `at ${path}` : `in ${numLaunches} launches, the largest at ${path}`;
  return [`most work is in kernel ${kernel}, ${Math.round(100 * share)} % of the planned ${unit}, ${place}`];
}

const usually = (longest: number | undefined): string =>
  longest === undefined ? "nothing of the kind was done before" : `it took at most ${duration(longest)} before`;

/** A warning: work takes far longer than any of its kind. */
export function takesLong(adapter: string, { work, seconds, longest, deadline }: Lateness): string {
  const end = Number.isFinite(deadline) ? `; it is given up after ${duration(deadline)}` : "";
  const details = [usually(longest), ...mostWork(work)].join("; ");
  return `${adapter} has been at work on ${work.text} for ${duration(seconds)}: ${details}${end}`;
}

const smallerWork = "make train.batch.micro or serve.tokens smaller";

export const hung = (adapter: string, { work, seconds, longest }: Lateness): Fault =>
  new Fault({
    code: "device/hung",
    kind: "environment",
    claim: `the GPU does not end what it was given: ${adapter}`,
    details: [
      `it has been at work on ${work.text} for ${duration(seconds)}; ${usually(longest)}`,
      ...mostWork(work),
      `if that hangs again, ${smallerWork}, or ${takeWasm}; if it does take so long, allow more with \`--deadline\``,
    ],
    help: "resume from the last checkpoint, in a process of its own: this one cannot get rid of the GPU's work",
  });

export const lost = (adapter: string, program: string, work: WorkAtHand | undefined, reason: string): Fault =>
  new Fault({
    code: "device/lost",
    kind: "environment",
    claim: `the GPU was lost: ${adapter}`,
    details: [reason, ...whatWasAtWork(program, work)],
    help: `resume from the last checkpoint; if it is lost again at the same program, ${smallerWork}: drivers end what takes seconds`,
  });

function whatWasAtWork(program: string, work: WorkAtHand | undefined): string[] {
  if (work !== undefined) return [`it was at work on ${work.text}`, ...mostWork(work)];
  return program === "" ? [] : [`it was at work on nothing; the last program that it was given is ${program}`];
}

export const noDevice = (adapter: string, cause: unknown): Fault =>
  new Fault({
    code: "device/no-device",
    kind: "environment",
    claim: `${adapter} gives no device`,
    details: [reasonOf(cause)],
    help: `close other programs that use the GPU, or ${takeWasm}`,
    cause,
  });
