// Graphs → programs: kernels selected, launches in waves, memory placed. What emit/ turns into files.

import type { Graph, Node } from "../graph/graph.ts";
import type { Note } from "../source/notes.ts";
import type { Kernel, Launch, PlannedTensor } from "./plan.ts";
import { type Arena, arenaOf, type PlacedTensor, placePersistent, placeTransient } from "./plan-memory.ts";
import { DerivedTensors, type MatmulTile } from "./planner.ts";
import { schedule, type Wave } from "./schedule.ts";
import { selectKernels } from "./select.ts";

export interface Program {
  readonly name: string;
  readonly waves: readonly Wave[];
  /** Tensors that live for one run. */
  readonly transient: readonly PlacedTensor[];
  readonly activationBytes: number;
  /** What they would take without sharing memory. */
  readonly activationSum: number;
  readonly results: ReadonlyMap<string, PlannedTensor>;
  /** Tensors that the host writes before a run. */
  readonly inputs: readonly PlannedTensor[];
}

export interface TargetPlan {
  readonly programs: readonly Program[];
  readonly persistent: ReadonlyMap<string, PlacedTensor>;
  readonly arenaBytes: ReadonlyMap<Arena, number>;
  readonly notes: readonly Note[];
}

export interface PlanRequest {
  readonly graphs: readonly Graph[];
  /** Programs that change parameters, and so make the derived copies again at their end. */
  readonly updates: ReadonlySet<string>;
  readonly tileOf: (node: Node) => MatmulTile;
  /** Keep every tensor of a run apart, so that all of them can be read afterwards. */
  readonly keepsAll?: boolean;
}

/** Plans all graphs of a model together: they share persistent tensors and derived copies. */
export function planTarget({ graphs, updates, tileOf, keepsAll = false }: PlanRequest): TargetPlan {
  const derived = new DerivedTensors();
  const selections = graphs.map((graph) => ({ graph, selection: selectKernels(graph, derived, tileOf) }));
  const programs = selections.map(({ graph, selection }) => {
    const launches = updates.has(graph.name) ? [...selection.launches, ...derived.launches] : selection.launches;
    const results = new Map<string, PlannedTensor>();
    for (const [name, value] of graph.results) {
      const tensor = selection.tensors.get(value);
      if (tensor !== undefined) results.set(name, tensor);
    }
    return makeProgram(graph.name, launches, results, keepsAll);
  });
  // `derive` makes the copies after parameters were loaded.
  programs.push(makeProgram("derive", derived.launches, new Map(), keepsAll));
  const persistent = placePersistent(programs.flatMap(persistentOf));
  const activations = Math.max(0, ...programs.map((program) => program.activationBytes));
  return {
    programs,
    persistent: persistent.placed,
    arenaBytes: new Map<Arena, number>([...persistent.bytes, ["activations", activations]]),
    notes: [...selections.flatMap(({ selection }) => selection.notes), ...programs.map(memoryNote)],
  };
}

function makeProgram(
  name: string,
  launches: readonly Launch[],
  results: ReadonlyMap<string, PlannedTensor>,
  keepsAll: boolean,
): Program {
  const waves = schedule(launches);
  const kept = new Set(keepsAll ? launches.flatMap(tensorsOf) : results.values());
  const { placed, bytes, sum } = placeTransient(waves, kept);
  const inputs = new Map<string, PlannedTensor>();
  for (const tensor of launches.flatMap(tensorsOf)) if (tensor.storage === "input") inputs.set(tensor.name, tensor);
  return {
    name,
    waves,
    transient: placed,
    activationBytes: bytes,
    activationSum: sum,
    results,
    inputs: [...inputs.values()],
  };
}

const tensorsOf = (launch: Launch): PlannedTensor[] =>
  launch.operands.flatMap((o) => (o.kind === "tensor" ? [o.tensor] : []));

function persistentOf(program: Program): PlannedTensor[] {
  const tensors = program.waves.flat().flatMap(tensorsOf);
  return tensors.filter((tensor) => arenaOf[tensor.storage] !== "activations");
}

const memoryNote = ({ name, activationBytes, activationSum, waves }: Program): Note => ({
  path: name,
  topic: "memory",
  sentence: `${name} takes ${activationBytes} bytes for what lives during a run (${activationSum} without sharing), ${waves.flat().length} launches in ${waves.length} waves`,
});

/** Every kernel of a plan once. Kernels of one name are equal in all that their text depends on. */
export function kernelsOf(plan: TargetPlan): Kernel[] {
  const kernels = new Map<string, Kernel>();
  for (const program of plan.programs) {
    for (const launch of program.waves.flat()) kernels.set(launch.kernel.facts.name, launch.kernel);
  }
  return [...kernels.values()];
}
