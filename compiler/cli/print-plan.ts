// A plan as text, for `mspec dump --after schedule` and `--after plan-memory`.

import { printLive } from "../graph/types.ts";
import type { Count, Launch, Operand, TileCount } from "../kernels/plan.ts";
import { type PlacedTensor, tensorBytes } from "../kernels/plan-memory.ts";
import type { Program, TargetPlan } from "../kernels/program.ts";

/** The waves of every program: one launch per line. */
export function printSchedule(plan: TargetPlan): string {
  return plan.programs.map(printProgram).join("\n\n");
}

function printProgram({ name, waves }: Program): string {
  const lines = waves.flatMap((wave, i) => [`wave ${i}`, ...wave.map((launch) => `  ${printLaunch(launch)}`)]);
  return [`program ${name}`, ...lines].join("\n");
}

function printLaunch({ kernel, operands, tiles, use }: Launch): string {
  const text = `${kernel.facts.name}(${operands.map(printOperand).join(", ")})`;
  return `${text} tiles ${printTiles(tiles)}  # ${use.path} ${use.direction}`;
}

function printOperand(operand: Operand): string {
  switch (operand.kind) {
    case "none":
      return "_";
    case "count":
      return printCount(operand.count);
    case "scalars":
      return "scalars";
    case "scalar":
      return operand.access === "read" ? operand.tensor.name : `${operand.access} ${operand.tensor.name}`;
    case "tensor": {
      const offset = operand.offset === 0 ? "" : `+${operand.offset}`;
      return operand.access === "read"
        ? operand.tensor.name + offset
        : `${operand.access} ${operand.tensor.name}${offset}`;
    }
  }
}

const printCount = (count: Count): string => (count.kind === "fixed" ? String(count.value) : printLive(count.live));

function printTiles(tiles: TileCount): string {
  return tiles
    .map(({ count, times = 1, per }) => {
      const rows = times === 1 ? printCount(count) : `${printCount(count)} * ${times}`;
      return per === 1 ? rows : `ceil(${rows} / ${per})`;
    })
    .join(" * ");
}

/** Every tensor's place: persistent ones by arena, those of a run by program. */
export function printMemory({ arenaBytes, persistent, programs }: TargetPlan): string {
  const arenas = [...arenaBytes].map(([arena, bytes]) => {
    const own = [...persistent.values()].filter((placed) => placed.arena === arena);
    return [`arena ${arena} ${bytes}`, ...own.map(printPlace)].join("\n");
  });
  const runs = programs.map(({ name, activationBytes, transient }) => {
    const byPlace = [...transient].sort((a, b) => a.offset - b.offset || compare(a.tensor.name, b.tensor.name));
    return [`program ${name} ${activationBytes}`, ...byPlace.map(printPlace)].join("\n");
  });
  return [...arenas, ...runs].join("\n\n");
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function printPlace({ tensor, offset }: PlacedTensor): string {
  return `  ${String(offset).padStart(12)} ${String(tensorBytes(tensor)).padStart(12)}  ${tensor.name}`;
}
