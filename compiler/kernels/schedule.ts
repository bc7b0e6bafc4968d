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
    if (waves.length === 0 || mustWait(launch, current)) {
      waves.push([]);
      current = new Map();
    }
    waves[waves.length - 1].push(launch);
    for (const operand of launch.operands) {
      if (!("tensor" in operand)) continue;
      const accesses = current.get(operand.tensor.name);
      if (accesses === undefined) current.set(operand.tensor.name, [operand.access]);
      else if (!accesses.includes(operand.access)) accesses.push(operand.access);
    }
  }
  return waves;
}

function mustWait(launch: Launch, current: ReadonlyMap<string, readonly Access[]>): boolean {
  return launch.operands.some(
    (o) => "tensor" in o && current.get(o.tensor.name)?.some((other) => conflicts(o.access, other)),
  );
}
