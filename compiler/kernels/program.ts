// Graphs → programs: kernels selected, launches in waves, memory placed. What emit/ turns into files.

import type { Graph } from "../graph/graph.ts";
import { size } from "../source/messages/device.ts";
import type { Note } from "../source/notes.ts";
import type { Launch, PlannedTensor } from "./plan.ts";
import { type Arena, arenaOf, type PlacedTensor, placePersistent, placeTransient } from "./plan-memory.ts";
import { DerivedTensors, SharedKernels, type TileChooser } from "./planner.ts";
import { schedule, type Wave } from "./schedule.ts";
import { selectKernels } from "./select.ts";

export interface Program {
  readonly name: string;
  readonly waves: readonly Wave[];
  /** Tensors that live for one run. */
  readonly transient: readonly PlacedTensor[];
  readonly activationBytes: number;
  /** Tensors that stay from run to run. */
  readonly persistent: readonly PlannedTensor[];
  /** What the transient ones would take without sharing memory. */
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
  readonly tileOf: TileChooser;
  /** Keep every tensor of a run apart, so that all of them can be read afterwards. */
  readonly keepsAll?: boolean;
}

/** Plans all graphs of a model together: they share persistent tensors and derived copies. */
export function planTarget({ graphs, updates, tileOf, keepsAll = false }: PlanRequest): TargetPlan {
  const derived = new DerivedTensors();
  const shared = { derived, kernels: new SharedKernels(), tileOf };
  const selections = graphs.map((graph) => ({ graph, selection: selectKernels(graph, shared) }));
  const copies = derived.launchesFor(
    selections.flatMap(({ selection }) => selection.launches),
    keepsAll,
  );
  const programs = selections.map(({ graph, selection }) => {
    const launches = updates.has(graph.name) ? [...selection.launches, ...copies] : selection.launches;
    const results = new Map<string, PlannedTensor>();
    for (const [name, value] of graph.results) {
      const tensor = selection.tensors.get(value);
      if (tensor !== undefined) results.set(name, tensor);
    }
    return makeProgram(graph.name, launches, results, keepsAll);
  });
  // `derive` makes the copies after parameters were loaded.
  programs.push(makeProgram("derive", copies, new Map(), keepsAll));
  const persistent = placePersistent(programs.flatMap((program) => program.persistent));
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
  const tensors = new Set<PlannedTensor>();
  for (const { operands } of launches) for (const o of operands) if (o.kind === "tensor") tensors.add(o.tensor);
  const { placed, bytes, sum } = placeTransient(waves, keepsAll ? tensors : new Set(results.values()));
  const inputs = new Map([...tensors].filter((t) => t.storage === "input").map((t) => [t.name, t]));
  const persistent = [...tensors].filter((t) => arenaOf[t.storage] !== "activations");
  return {
    name,
    waves,
    transient: placed,
    persistent,
    activationBytes: bytes,
    activationSum: sum,
    results,
    inputs: [...inputs.values()],
  };
}

const memoryNote = ({ name, activationBytes, activationSum, waves }: Program): Note => ({
  path: name,
  topic: "memory",
  sentence: `${name} takes ${size(activationBytes)} for what lives during a run (${size(activationSum)} without sharing), ${waves.flat().length} launches in ${waves.length} wave${waves.length === 1 ? "" : "s"}`,
});
