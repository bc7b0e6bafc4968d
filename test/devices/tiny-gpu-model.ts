// A model of a few kernels in WGSL, written by hand: every way in which a launch can name what it needs.

import type { Manifest, ManifestLaunch, ManifestOperand, ManifestTensor } from "../../runtime/contract.ts";

/** y = x · factor for the elements that are live. */
const scale = `struct Words { live: u32, factor: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> scalars: array<f32>;
@group(0) @binding(3) var<uniform> words: Words;
@compute @workgroup_size(4) fn scale(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < words.live) { y[id.x] = x[id.x] * scalars[words.factor]; }
}
`;

/** Adds 1 to every element of its group's number; groups beyond the array do nothing. */
const count = `@group(0) @binding(0) var<storage, read_write> seen: array<i32>;
@compute @workgroup_size(1) fn count(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
) {
  let i = group.x + group.y * groups.x;
  if (i < arrayLength(&seen)) { seen[i] += 1; }
}
`;

/** Swaps the halves of every word of a tensor of bf16. */
const swap = `@group(0) @binding(0) var<storage, read_write> pairs: array<u32>;
@compute @workgroup_size(1) fn swap(@builtin(workgroup_id) group: vec3u) {
  pairs[group.x] = (pairs[group.x] << 16u) | (pairs[group.x] >> 16u);
}
`;

/** total += 1. */
const tick = `@group(0) @binding(0) var<storage, read_write> scalars: array<f32>;
struct Words { total: u32 }
@group(0) @binding(1) var<uniform> words: Words;
@compute @workgroup_size(1) fn tick() { scalars[words.total] += 1.0; }
`;

/** Makes every element 0. */
const wipe = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(64) fn wipe(@builtin(global_invocation_id) id: vec3u) { x[id.x] = 0.0; }
`;

const texts = { scale, count, swap, tick, wipe };
export const kernelTexts: ReadonlyMap<string, string> = new Map(
  Object.entries(texts).map(([name, text]) => [`wgsl/${name}.wgsl`, text]),
);

interface TensorPlace {
  readonly arena: string;
  readonly offset: number;
  readonly dtype?: ManifestTensor["dtype"];
  readonly pitch?: number;
}

export function tensorAt(
  name: string,
  sizes: readonly number[],
  { arena, offset, dtype = "f32", pitch }: TensorPlace,
): ManifestTensor {
  const dims = sizes.map((size, i) => ({ name: `d${i}`, size }));
  const rows = sizes.length < 2 ? 1 : sizes.slice(0, -1).reduce((product, size) => product * size, 1);
  const layout = { kind: "rows", rows, pitch: pitch ?? sizes.at(-1) ?? 1 } as const;
  return { name, dtype, dims, layout, arena, offset };
}

const kernelIndex = Object.fromEntries(Object.keys(texts).map((name, i) => [name, i]));

export const launchOf = (
  kernel: keyof typeof texts,
  tiles: ManifestLaunch["tiles"],
  ...operands: readonly ManifestOperand[]
): ManifestLaunch => ({ kernel: kernelIndex[kernel], tiles, operands, path: `model.${kernel}`, flops: 0 });

/** How many groups `flood` starts: more than fit into one direction. */
export const floodGroups = 70_000;

/** Elements of `large`: 12 MiB, three times as much as one staging buffer of a small model holds. */
export const largeCount = 3 << 20;

export const tinyGpuModel: Manifest = {
  version: 1,
  name: "tiny gpu model",
  target: "wgsl",
  model: { vocab: 1, context: 1, width: 1, layers: 0, tieEmbeddings: false },
  serving: { sequences: 1, tokens: 1, pages: 1, page: 1, rowTile: 1 },
  parameters: [],
  constants: [],
  arenas: { state: 2048, scalars: 16, flood: floodGroups * 4, large: largeCount * 4 },
  tensors: [
    tensorAt("x", [8], { arena: "state", offset: 0 }),
    tensorAt("padded", [3, 3], { arena: "state", offset: 256, pitch: 5 }),
    tensorAt("halves", [4, 5], { arena: "state", offset: 512, dtype: "bf16", pitch: 6 }),
    tensorAt("odd", [3], { arena: "state", offset: 768, dtype: "bf16" }),
    tensorAt("whole", [2, 2], { arena: "state", offset: 1024, dtype: "i32", pitch: 4 }),
    tensorAt("long", [128], { arena: "state", offset: 1280 }),
    tensorAt("factor", [], { arena: "scalars", offset: 4 }),
    tensorAt("total", [], { arena: "scalars", offset: 8 }),
    tensorAt("large", [largeCount], { arena: "large", offset: 0 }),
    tensorAt("seen", [floodGroups], { arena: "flood", offset: 0, dtype: "i32" }),
  ],
  kernels: Object.keys(texts).map((name) => ({
    name,
    file: `wgsl/${name}.wgsl`,
    sha256: "",
    scratch: 0,
    template: "by hand",
  })),
  programs: [
    {
      name: "scale",
      waves: [
        [
          launchOf(
            "scale",
            ["ceil_div", "live", 4],
            { tensor: "x" },
            null,
            { tensor: "scale.y" },
            { tensor: "scalars" },
            { count: "live" },
            { scalar: "factor" },
          ),
        ],
        [launchOf("tick", 1, { tensor: "scalars" }, { scalar: "total" })],
      ],
      tensors: [tensorAt("scale.y", [8], { arena: "state", offset: 1792 })],
      inputs: ["x"],
      results: { y: "scale.y" },
    },
    {
      // Only the second half of `long`.
      name: "chunk",
      waves: [
        [
          launchOf(
            "scale",
            2,
            { tensor: "x" },
            { tensor: "long", offset: 256 },
            { tensor: "scalars" },
            { count: 8 },
            { scalar: "factor" },
          ),
        ],
        [launchOf("swap", 12, { tensor: "halves" })],
      ],
      tensors: [],
      inputs: [],
      results: {},
    },
    {
      name: "tick",
      waves: [[launchOf("tick", 1, { tensor: "scalars" }, { scalar: "total" })]],
      tensors: [],
      inputs: [],
      results: { total: "total" },
    },
    {
      name: "wipe",
      // Four times, to take a while.
      waves: Array.from({ length: 4 }, () => [launchOf("wipe", largeCount / 64, { tensor: "large" })]),
      tensors: [],
      inputs: [],
      results: {},
    },
    {
      name: "flood",
      waves: [[launchOf("count", "groups", { tensor: "seen" })]],
      tensors: [],
      inputs: [],
      results: {},
    },
  ],
};
