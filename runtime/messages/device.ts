// What can go wrong with a device.

import { Fault } from "../fault.ts";

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20).toLocaleString("en")} MiB`;

export const doesNotFit = (model: string, needed: number, most: number): Fault =>
  new Fault({
    code: "device/does-not-fit",
    kind: "environment",
    claim: `${model} does not fit into the memory of a wasm device`,
    details: [`it needs ${mebibytes(needed)}`, `one WebAssembly memory holds at most ${mebibytes(most)}`],
    help: "make the model, train.batch.micro or serve.pages smaller",
  });

export const allocationFailed = (model: string, needed: number, cause: unknown): Fault =>
  new Fault({
    code: "device/allocation-failed",
    kind: "environment",
    claim: `no memory of ${mebibytes(needed)} for ${model}`,
    help: "close other programs, or make the model or train.batch.micro smaller",
    cause,
  });

export const kernelFailed = (thread: number, message: string): Fault =>
  new Fault({
    code: "device/kernel-failed",
    kind: "environment",
    claim: `a kernel failed on thread ${thread}`,
    details: [message],
    help: "resume from the last checkpoint, and report this with the spec",
  });

export const threadDied = (thread: number, message: string): Fault =>
  new Fault({
    code: "device/thread-died",
    kind: "environment",
    claim: `thread ${thread} of the wasm device died`,
    details: [message],
    help: "resume from the last checkpoint",
  });
