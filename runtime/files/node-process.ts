// Tells, for locks, whether a process of this machine still lives. Linux tells the most; elsewhere the pid has to do.

import { randomUUID } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import type { LockOwner, ProcessTable } from "./run-lock.ts";

/** The process table of this machine. */
export const nodeProcesses: ProcessTable = {
  describeSelf: () => ({
    pid: process.pid,
    host: hostName(),
    boot: bootId(),
    started: startOf(process.pid),
    nonce: randomUUID(),
    takenAt: new Date().toISOString(),
  }),

  judge(owner: LockOwner): "alive" | "dead" | "unknown" {
    if (owner.host !== hostName()) return "unknown";
    const boot = bootId();
    if (owner.boot !== "" && boot !== "" && owner.boot !== boot) return "dead";
    if (!exists(owner.pid)) return "dead";
    const started = startOf(owner.pid);
    // The number lives, but it may have been given to another process since.
    return owner.started !== "" && started !== "" && owner.started !== started ? "dead" : "alive";
  },
};

/** The machine's name and, on Linux, the space of process numbers: containers of one machine share name and boot. */
function hostName(): string {
  return `${hostname()} ${readOrEmpty(() => readlinkSync("/proc/self/ns/pid"))}`.trim();
}

function bootId(): string {
  return readOrEmpty(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
}

/** When a process started, in clock ticks since the machine did. */
function startOf(pid: number): string {
  return statFields(pid)[19] ?? "";
}

/** What the system tells of a process, from its state (the third field of proc(5)'s stat) on. */
function statFields(pid: number): string[] {
  const stat = readOrEmpty(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  // The second field is the program's name, which may hold spaces and brackets.
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** A zombie has ended and only waits for its parent to ask. */
function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return statFields(pid)[0] !== "Z";
  } catch (error) {
    // EPERM: it lives and belongs to someone else.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** The text, or nothing on systems that have no such file. */
function readOrEmpty(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}
