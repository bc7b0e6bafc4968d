// Sentences about what fits a device.

import type { Diagnostic } from "../diagnostic.ts";

/** Bytes by class, in the order in which they lie in memory. */
export type BytesByClass = readonly (readonly [name: string, bytes: number])[];

/** `75.2 MiB`, with as large a unit as leaves at least one. */
export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const value = bytes / 1024 ** power;
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[power]}`;
}

/** `parameters 3.7 MiB + gradients 3.7 MiB`; classes without bytes are left out. */
function sum(classes: BytesByClass): string {
  return classes
    .filter(([, bytes]) => bytes > 0)
    .map(([name, bytes]) => `${name} ${size(bytes)}`)
    .join(" + ");
}

export function doesNotFit(device: string, needed: number, most: number, classes: BytesByClass): Diagnostic {
  return {
    code: "device/does-not-fit",
    severity: "error",
    claim: `${device} has ${size(most)} of memory, and this model needs ${size(needed)}`,
    details: [`${sum(classes)} = ${size(needed)} = ${(needed / most).toFixed(1)} * ${size(most)}`],
    help: "make the model, train.batch.micro or serve.pages smaller",
  };
}

/** What `compile` says where `check --device` would refuse. */
export const noteDoesNotFit = (device: string, needed: number, most: number): string =>
  `${device}: needs ${size(needed)} of ${size(most)}, so it compiles but does not run there`;

export const fits = (device: string, needed: number, most: number, classes: BytesByClass): string =>
  `${device}: ${size(needed)} of ${size(most)} (${sum(classes)})`;

/** Limits of WebGPU by what they are about: of buffers, and of what a kernel is given of one. */
interface GpuLimits {
  readonly buffer: number;
  readonly binding: number;
}

/** What a model asks of an adapter beside what every adapter grants. */
export function asksOfGpu(device: string, needs: GpuLimits, granted: GpuLimits, classes: BytesByClass): string {
  const all = classes.reduce((total, [, bytes]) => total + bytes, 0);
  const beyond = (limit: string, need: number, grant: number): string[] =>
    need > grant ? [`${limit} of ${size(need)}, and every adapter grants ${size(grant)} only`] : [];
  const asked = [
    ...beyond("maxBufferSize", needs.buffer, granted.buffer),
    ...beyond("maxStorageBufferBindingSize", needs.binding, granted.binding),
  ];
  const wanted = asked.length === 0 ? "no more than every adapter grants" : `an adapter with ${asked.join("; ")}`;
  return `${device}: ${size(all)} (${sum(classes)}); asks for ${wanted}`;
}
