// @ts-check
// One thread of the wasm device: runs the programs that lie as lists in shared memory. Plain JavaScript, so that the
// same file serves from sources and from dist/. Knows words in memory, nothing of tensors.

import { parentPort, workerData } from "node:worker_threads";

/**
 * @typedef {object} WorkerData
 * @property {WebAssembly.Memory} memory shared with all threads
 * @property {WebAssembly.Module} module exports every kernel
 * @property {readonly string[]} kernels export names by index
 * @property {number} thread this thread's number, from 0
 * @property {number} threads
 * @property {number} scratch address of this thread's scratch
 * @property {Record<"generation" | "command" | "program" | "failed" | "arrived" | "barrier" | "finished" | "done", number>} words
 */

/** How often a waiting thread looks before it sleeps: about 20 µs. */
const spins = 20_000;
/** A sleeping thread wakes this often to see whether another one failed, in milliseconds. */
const patience = 50;

/** @type {WorkerData} */
const { memory, module, kernels, thread, threads, scratch, words } = workerData;
const control = new Int32Array(memory.buffer);
const instance = new WebAssembly.Instance(module, { mspec: { memory, scratch } });
const functions = kernels.map(
  (name) => /** @type {(table: number, begin: number, end: number) => void} */ (instance.exports[name]),
);

/** @param {number} word @param {number} seen */
function waitUntilChanged(word, seen) {
  for (let i = 0; i < spins; i++) if (Atomics.load(control, word) !== seen) return true;
  while (Atomics.load(control, word) === seen) {
    if (Atomics.load(control, words.failed) !== 0) return false;
    Atomics.wait(control, word, seen, patience);
  }
  return true;
}

/** All threads meet; false: one of them failed. */
function meet() {
  if (threads === 1) return true;
  const round = Atomics.load(control, words.barrier);
  if (Atomics.add(control, words.arrived, 1) === threads - 1) {
    Atomics.store(control, words.arrived, 0);
    Atomics.add(control, words.barrier, 1);
    Atomics.notify(control, words.barrier);
    return true;
  }
  return waitUntilChanged(words.barrier, round);
}

/**
 * A program: number of waves; per wave the number of launches; per launch kernel, table, tiles, tiles per claim and the
 * number of tiles claimed so far. Threads claim tiles of all launches of a wave before they meet.
 *
 * @param {number} start word of the list
 */
function runProgram(start) {
  let at = start;
  const waves = control[at++];
  for (let wave = 0; wave < waves; wave++) {
    const launches = control[at++];
    for (let launch = 0; launch < launches; launch++, at += 5) {
      const run = functions[control[at]];
      const table = control[at + 1];
      const tiles = control[at + 2];
      const claim = control[at + 3];
      for (
        let begin = Atomics.add(control, at + 4, claim);
        begin < tiles;
        begin = Atomics.add(control, at + 4, claim)
      ) {
        run(table, begin, Math.min(tiles, begin + claim));
      }
    }
    if (!meet()) return;
  }
}

let seen = 0;
parentPort?.postMessage({ kind: "ready", thread });
for (;;) {
  for (let i = 0; i < spins && Atomics.load(control, words.generation) === seen; i++);
  while (Atomics.load(control, words.generation) === seen) Atomics.wait(control, words.generation, seen);
  seen = Atomics.load(control, words.generation);
  if (control[words.command] === 0) break;
  try {
    runProgram(control[words.program]);
  } catch (error) {
    Atomics.store(control, words.failed, 1);
    parentPort?.postMessage({
      kind: "failed",
      thread,
      message: error instanceof Error ? error.message : String(error),
    });
  }
  if (Atomics.add(control, words.finished, 1) === threads - 1) {
    Atomics.store(control, words.done, seen);
    Atomics.notify(control, words.done);
  }
}
