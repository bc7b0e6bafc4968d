// Launches → waves: launches of one wave do not depend on each other, so threads meet only between waves.

import type { Access, Launch } from "./plan.ts";

export type Wave = readonly Launch[];

/** Two accesses of one tensor that must not happen in one wave: all but reads, and parts of one whole. */
const conflicts = (a: Access, b: Access): boolean => !(a === "read" && b === "read") && !(a === "part" && b === "part");

/** Keeps the order, and tells tensors apart by name, as a program does; a launch opens a new wave when it touches what the current one writes, or writes what it reads. */
export function schedule(launches: readonly Launch[]): Wave[] {
  const waves: Launch[][] = [];
  let current = new Map<string, Access[]>();
  for (const launch of launches) {
    const accesses = launch.operands.flatMap((o) => (o.kind === "tensor" ? [o] : []));
    const mustWait = accesses.some(({ tensor, access }) =>
      (current.get(tensor.name) ?? []).some((other) => conflicts(access, other)),
    );
    if (mustWait || waves.length === 0) {
      waves.push([]);
      current = new Map();
    }
    waves[waves.length - 1].push(launch);
    for (const { tensor, access } of accesses) current.set(tensor.name, [...(current.get(tensor.name) ?? []), access]);
  }
  return waves;
}
