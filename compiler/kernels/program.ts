// Graphs → programs: kernels selected, launches in waves, memory placed. What emit/ turns into files.

import type { Graph } from "../graph/graph.ts";
import { size } from "../source/messages/device.ts";
import type { Note } from "../source/notes.ts";
import type { Launch, PlannedTensor } from "./plan.ts";
import { type PlacedTensor, placePersistent, placeTransient } from "./plan-memory.ts";
import { DerivedTensors, SharedKernels, type TileChooser, tensorOf } from "./planner.ts";
import { schedule, type Wave } from "./schedule.ts";
import { selectKernels } from "./select.ts";
import type { Target } from "./target.ts";

export interface Program {
  readonly name: string;
  readonly waves: readonly Wave[];
  /** Tensors that live for one run. */
  readonly transient: readonly PlacedTensor[];
  readonly activationBytes: number;
  /** Pieces of memory for them. */
  readonly activationPieces: ReadonlyMap<string, number>;
  /** Tensors that stay from run to run. */
  readonly persistent: readonly PlannedTensor[];
  /** What the transient ones would take without sharing memory. */
  readonly activationSum: number;
  readonly results: ReadonlyMap<string, PlannedTensor>;
  /** Tensors that the host writes before a run. */
  readonly inputs: readonly PlannedTensor[];
}

export interface TargetPlan {
  readonly target: Target;
  readonly programs: readonly Program[];
  readonly persistent: ReadonlyMap<string, PlacedTensor>;
  readonly arenaBytes: ReadonlyMap<string, number>;
  readonly notes: readonly Note[];
}

export interface PlanRequest {
  readonly target: Target;
  readonly graphs: readonly Graph[];
  /** Programs that change parameters, and so make the derived copies again at their end. */
  readonly updates: ReadonlySet<string>;
  readonly tileOf: TileChooser;
  /** Keep every tensor of a run apart, so that all of them can be read afterwards. */
  readonly keepsAll?: boolean;
}

/** Plans all graphs of a model together: they share persistent tensors and derived copies. */
export function planTarget({ target, graphs, updates, tileOf, keepsAll = false }: PlanRequest): TargetPlan {
  const derived = new DerivedTensors();
  const shared = { target, derived, kernels: new SharedKernels(), tileOf };
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
    // What the host writes has its place, even where no kernel of this target asks for it.
    const inputs = graph.given.filter(({ storage }) => storage === "input");
    const given = inputs.map((value) => selection.tensors.get(value) ?? tensorOf(value, target));
    return makeProgram({ name: graph.name, launches, results, given }, { target, keepsAll });
  });
  // `derive` makes the copies after parameters were loaded.
  programs.push(makeProgram({ name: "derive", launches: copies, results: new Map(), given: [] }, { target, keepsAll }));
  const persistent = placePersistent(
    programs.flatMap((program) => program.persistent),
    target,
  );
  const activations = new Map<string, number>([["activations", 0]]);
  for (const [name, bytes] of programs.flatMap((program) => [...program.activationPieces])) {
    activations.set(name, Math.max(activations.get(name) ?? 0, bytes));
  }
  return {
    target,
    programs,
    persistent: persistent.placed,
    arenaBytes: new Map([...persistent.bytes, ...activations]),
    notes: [...selections.flatMap(({ selection }) => selection.notes), ...programs.map(memoryNote)],
  };
}

interface ProgramParts {
  readonly name: string;
  readonly launches: readonly Launch[];
  readonly results: ReadonlyMap<string, PlannedTensor>;
  readonly given: readonly PlannedTensor[];
}

function makeProgram(
  { name, launches, results, given }: ProgramParts,
  { target, keepsAll }: { readonly target: Target; readonly keepsAll: boolean },
): Program {
  const waves = schedule(launches);
  const tensors = new Set<PlannedTensor>();
  for (const { operands } of launches) for (const o of operands) if ("tensor" in o) tensors.add(o.tensor);
  for (const tensor of given) tensors.add(tensor);
  const { placed, bytes, sum } = placeTransient(waves, keepsAll ? tensors : new Set(results.values()), target);
  const inputs = new Map([...tensors].filter((t) => t.storage === "input").map((t) => [t.name, t]));
  const persistent = [...tensors].filter((t) => target.arenaOf(t) !== "activations");
  return {
    name,
    waves,
    transient: placed,
    persistent,
    activationBytes: [...bytes.values()].reduce((total, piece) => total + piece, 0),
    activationPieces: bytes,
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
