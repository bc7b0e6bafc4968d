// Which devices are here, which one is taken, and why not the others.

import { availableParallelism } from "node:os";
import * as say from "../source/messages/doctor.ts";
import type { deviceNames } from "./spec-flags.ts";

type DeviceName = (typeof deviceNames)[number];

export interface ChosenDevice {
  readonly name: DeviceName;
  readonly because: string;
}

/** What a device needs of the engine: a module that uses it compiles. */
const features = {
  simd: [0x41, 0x00, 0xfd, 0x0f, 0xfd, 0x62, 0x1a],
  threads: [0x41, 0x00, 0xfe, 0x10, 0x02, 0x00, 0x1a],
} as const;
export type FeatureName = keyof typeof features;

/** Whether this engine compiles a function of these instructions on a shared memory. */
export async function hasFeature(feature: FeatureName): Promise<boolean> {
  const body = [0x00, ...features[feature], 0x0b];
  const module = [
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00],
    ...[0x03, 0x02, 0x01, 0x00],
    // One page, at most one, shared.
    ...[0x05, 0x04, 0x01, 0x03, 0x01, 0x01],
    ...[0x0a, body.length + 2, 0x01, body.length, ...body],
  ];
  try {
    await WebAssembly.compile(Uint8Array.from(module));
    return true;
  } catch {
    return false;
  }
}

/** The device that is asked for, or the best one that is here. */
export function chooseDevice(asked: DeviceName | undefined): ChosenDevice {
  if (asked !== undefined) return { name: asked, because: say.askedFor };
  return { name: "wasm", because: say.embeddedDefault };
}

export const coreCount = (): number => availableParallelism();
