// Programs as a GPU runs them: flat lists of pipelines, bind groups and numbers of workgroups, and blocks of parameters that
// follow the live counts. Encoding touches nothing else.

import type { Expression, Manifest, ManifestLaunch, ManifestProgram, ManifestTensor } from "../contract.ts";
import type { Counts } from "../device.ts";
import { evaluateExpression, namesOf } from "../expression.ts";
import { tensorsOf } from "../memory-map.ts";
import type { PipelineOf } from "./webgpu-kernels.ts";
import { bindingAlignment, storageOf, wordsOf } from "./webgpu-operands.ts";
import { type GpuResources, usage } from "./webgpu-resources.ts";

/** The most workgroups in one direction. */
const mostGroups = 65_535;

/** Blocks of parameters of all programs in one buffer; the host keeps what stands there. */
export class ParameterBlocks {
  readonly #blocks = new Map<string, PlacedBlock>();
  #bytes = 0;
  #mirror = new Uint32Array(0);

  /** The place of a block; one of equal words that follow the same counts is shared. */
  place(program: string, words: readonly Expression[]): PlacedBlock {
    const isFixed = words.every((word) => typeof word === "number");
    // Blocks that follow counts are not shared between programs: each remembers the counts that it ran with last.
    const key = `${isFixed ? "" : program} ${JSON.stringify(words)}`;
    const known = this.#blocks.get(key);
    if (known !== undefined) return known;
    const bytes = Math.ceil(words.length / 4) * 16;
    const block = { words, isFixed, offset: this.#bytes, bytes };
    this.#bytes += Math.ceil(bytes / bindingAlignment) * bindingAlignment;
    this.#blocks.set(key, block);
    return block;
  }

  get bytes(): number {
    return Math.max(bindingAlignment, this.#bytes);
  }

  /** Writes what never changes. */
  writeFixed(queue: GPUQueue, buffer: GPUBuffer): void {
    this.#mirror = new Uint32Array(this.bytes / 4);
    for (const { words, isFixed, offset } of this.#blocks.values()) {
      if (isFixed) this.#mirror.set(words as readonly number[], offset / 4);
    }
    queue.writeBuffer(buffer, 0, this.#mirror);
  }

  /** Writes the blocks of a program whose values are others now, and what lies between them, in one piece. */
  update(blocks: readonly PlacedBlock[], counts: Counts, queue: GPUQueue, buffer: GPUBuffer): void {
    const mirror = this.#mirror;
    let [begin, end] = [mirror.length, 0];
    for (const { words, offset, bytes } of blocks) {
      let isChanged = false;
      for (const [i, word] of words.entries()) {
        const value = evaluateExpression(word, counts);
        if (mirror[offset / 4 + i] === value) continue;
        mirror[offset / 4 + i] = value;
        isChanged = true;
      }
      if (!isChanged) continue;
      begin = Math.min(begin, offset / 4);
      end = Math.max(end, (offset + bytes) / 4);
    }
    if (begin < end) queue.writeBuffer(buffer, begin * 4, mirror, begin, end - begin);
  }
}

interface PlacedBlock {
  readonly words: readonly Expression[];
  /** Its words are numbers, not counts. */
  readonly isFixed: boolean;
  readonly offset: number;
  readonly bytes: number;
}

/** What programs are placed in. */
export interface ProgramPlaces {
  readonly manifest: Manifest;
  readonly resources: GpuResources;
  readonly arenas: ReadonlyMap<string, GPUBuffer>;
  readonly pipelineOf: PipelineOf;
}

/** Places all programs of a manifest, and writes the parameters that never change. */
export async function placePrograms(places: ProgramPlaces): Promise<Map<string, PlacedProgram>> {
  const { manifest, resources } = places;
  const blocks = new ParameterBlocks();
  const drafts = manifest.programs.map((program) => {
    const tensors = tensorsOf(manifest, program);
    const launches = program.waves
      .flat()
      .map((launch) => ({ launch, block: blockOf(program, launch, tensors, blocks) }));
    return { program, tensors, launches };
  });
  const buffer = await resources.buffer("parameters", blocks.bytes, usage.uniform | usage.copyTarget);
  blocks.writeFixed(resources.device.queue, buffer);
  const placed = drafts.map((draft) => new PlacedProgram(draft, places, blocks, buffer));
  return new Map(placed.map((program) => [program.program.name, program]));
}

function blockOf(
  program: ManifestProgram,
  launch: ManifestLaunch,
  tensors: ReadonlyMap<string, ManifestTensor>,
  blocks: ParameterBlocks,
): PlacedBlock | undefined {
  const words = wordsOf(launch, tensors);
  return words.length === 0 ? undefined : blocks.place(program.name, words);
}

interface ProgramDraft {
  readonly program: ManifestProgram;
  readonly tensors: ReadonlyMap<string, ManifestTensor>;
  readonly launches: readonly { readonly launch: ManifestLaunch; readonly block: PlacedBlock | undefined }[];
}

export class PlacedProgram {
  readonly program: ManifestProgram;
  readonly tensors: ReadonlyMap<string, ManifestTensor>;
  readonly launches: readonly ManifestLaunch[];
  readonly #pipelines: readonly GPUComputePipeline[];
  readonly #bindGroups: readonly GPUBindGroup[];
  /** Workgroups of each launch, in x and y. */
  readonly #x: Uint32Array;
  readonly #y: Uint32Array;
  readonly #names: readonly string[];
  readonly #blocks: ParameterBlocks;
  readonly #buffer: GPUBuffer;
  /** Blocks and launches that follow counts. */
  readonly #liveBlocks: readonly PlacedBlock[];
  readonly #liveLaunches: readonly number[];
  #lastCounts: readonly number[] | undefined;

  constructor(
    { program, tensors, launches }: ProgramDraft,
    places: ProgramPlaces,
    blocks: ParameterBlocks,
    buffer: GPUBuffer,
  ) {
    this.program = program;
    this.tensors = tensors;
    this.launches = launches.map(({ launch }) => launch);
    this.#blocks = blocks;
    this.#buffer = buffer;
    this.#pipelines = this.launches.map(places.pipelineOf);
    this.#bindGroups = launches.map(({ launch, block }) => bindGroupOf(launch, block, tensors, places, buffer));
    this.#x = new Uint32Array(launches.length);
    this.#y = new Uint32Array(launches.length);
    const live = new Set(launches.flatMap(({ block }) => (block === undefined || block.isFixed ? [] : [block])));
    this.#liveBlocks = [...live].toSorted((a, b) => a.offset - b.offset);
    this.#liveLaunches = [...this.launches.keys()].filter((i) => typeof this.launches[i].tiles !== "number");
    for (const [i, { tiles }] of this.launches.entries()) if (typeof tiles === "number") this.#setGroups(i, tiles);
    const expressions = [...this.launches.map(({ tiles }) => tiles), ...this.#liveBlocks.flatMap(({ words }) => words)];
    this.#names = [...new Set(expressions.flatMap(namesOf))];
  }

  /** Makes parameters and numbers of workgroups follow the counts; does nothing where they are as they were. */
  follow(counts: Counts, queue: GPUQueue): void {
    const last = this.#lastCounts;
    if (last !== undefined && this.#names.every((name, i) => counts[name] === last[i])) return;
    const values = this.#names.map((name) => evaluateExpression(name, counts));
    for (const i of this.#liveLaunches) this.#setGroups(i, evaluateExpression(this.launches[i].tiles, counts));
    this.#blocks.update(this.#liveBlocks, counts, queue, this.#buffer);
    this.#lastCounts = values;
  }

  #setGroups(launch: number, groups: number): void {
    const y = Math.ceil(groups / mostGroups);
    if (y > mostGroups) throw new RangeError(`${groups} workgroups are more than one launch can have`);
    this.#y[launch] = y;
    this.#x[launch] = y === 0 ? 0 : Math.ceil(groups / y);
  }

  /** Encodes the launches from `first` up to `end`. */
  encode(pass: GPUComputePassEncoder, first = 0, end = this.launches.length): void {
    let lastPipeline: GPUComputePipeline | undefined;
    let lastGroup: GPUBindGroup | undefined;
    for (let i = first; i < end; i++) {
      if (this.#x[i] === 0) continue;
      const pipeline = this.#pipelines[i];
      if (pipeline !== lastPipeline) pass.setPipeline(pipeline);
      const group = this.#bindGroups[i];
      if (group !== lastGroup) pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(this.#x[i], this.#y[i]);
      lastPipeline = pipeline;
      lastGroup = group;
    }
  }
}

/** The first launch of a program that a GPU refuses by itself. */
export async function refusedLaunch(placed: PlacedProgram, device: GPUDevice): Promise<ManifestLaunch | undefined> {
  for (const [index, launch] of placed.launches.entries()) {
    device.pushErrorScope("validation");
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    placed.encode(pass, index, index + 1);
    pass.end();
    encoder.finish();
    if ((await device.popErrorScope()) !== null) return launch;
  }
  return undefined;
}

function bindGroupOf(
  launch: ManifestLaunch,
  block: PlacedBlock | undefined,
  tensors: ReadonlyMap<string, ManifestTensor>,
  { manifest, resources, arenas }: ProgramPlaces,
  parameters: GPUBuffer,
): GPUBindGroup {
  const ranges = storageOf(launch, tensors, manifest.arenas);
  const storage = ranges.map(({ arena, offset, bytes }) => {
    const buffer = arenas.get(arena);
    if (buffer === undefined) throw new RangeError(`manifest has no arena ${arena}`);
    return { buffer, offset, size: bytes };
  });
  const key = [...ranges.map(({ arena, offset, bytes }) => `${arena}@${offset}+${bytes}`), block?.offset].join(" ");
  const words = block && { buffer: parameters, offset: block.offset, size: block.bytes };
  return resources.bindGroup(key, storage, words);
}
