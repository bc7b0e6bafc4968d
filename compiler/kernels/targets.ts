// What can be compiled for, by the name that a user gives.

import type { Target } from "./target.ts";
import { wasm } from "./wasm/index.ts";
import { gpu, soft } from "./wgsl/index.ts";

export const targets = { wasm, wgsl: gpu, "wgsl-soft": soft } as const satisfies Readonly<Record<string, Target>>;

export type TargetId = keyof typeof targets;

export const targetIds = Object.keys(targets) as readonly TargetId[];
