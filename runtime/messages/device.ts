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

export const badThreads = (threads: number, most: number): Fault =>
  new Fault({
    code: "device/bad-threads",
    kind: "input",
    claim: `a wasm device cannot have ${threads} threads`,
    details: [`it must be a whole number from 1 to ${most}; more than the machine has cores gain nothing`],
  });

export const closed = (model: string): Fault =>
  new Fault({
    code: "device/closed",
    kind: "input",
    claim: `the device of ${model} was closed`,
    help: "open the model again",
  });

export const busy = (model: string): Fault =>
  new Fault({
    code: "device/busy",
    kind: "input",
    claim: `a program of ${model} is already running on this device`,
    help: "await one call before the next, or open the model a second time",
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
