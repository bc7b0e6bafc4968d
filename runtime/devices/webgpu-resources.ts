// Everything that is made on a GPU for a model: buffers, layouts, bind groups. Made while a model is opened, and counted.

import * as messages from "../messages/webgpu.ts";

/** What a device has made and done so far; after opening, only submits and the time of encoding grow. */
export interface DeviceStatistics {
  submits: number;
  buffers: number;
  bindGroups: number;
  pipelines: number;
  /** Time of the host for encoding and submitting. */
  encodeMilliseconds: number;
}

/** Values of GPUBufferUsage, which is no global in Node. */
export const usage = {
  mapRead: 0x1,
  copySource: 0x4,
  copyTarget: 0x8,
  uniform: 0x40,
  storage: 0x80,
  queryResolve: 0x200,
} as const;

/** Values of GPUShaderStage and GPUMapMode. */
const computeStage = 0x4;
export const mapToRead = 0x1;

export class GpuResources {
  /** Of the device and of the language that it takes. */
  readonly features: ReadonlySet<string>;
  readonly device: GPUDevice;
  readonly statistics: DeviceStatistics = {
    submits: 0,
    buffers: 0,
    bindGroups: 0,
    pipelines: 0,
    encodeMilliseconds: 0,
  };
  readonly #model: string;
  readonly #buffers: GPUBuffer[] = [];
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  #bytes = 0;

  constructor(device: GPUDevice, model: string, language: Iterable<string>) {
    this.device = device;
    this.#model = model;
    this.features = new Set([...device.features, ...language]);
  }

  /** Bytes of all buffers. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A buffer of zeros. Errors: `device/allocation-failed`, with all buffers freed. */
  async buffer(label: string, size: number, flags: number): Promise<GPUBuffer> {
    this.device.pushErrorScope("out-of-memory");
    const buffer = this.device.createBuffer({ label, size, usage: flags });
    this.#buffers.push(buffer);
    const error = await this.device.popErrorScope();
    if (error !== null) {
      this.destroy();
      throw messages.allocationFailed(this.#model, label, size, this.#bytes, error.message);
    }
    this.statistics.buffers++;
    this.#bytes += size;
    return buffer;
  }

  /** Storage bindings 0, 1, …, then perhaps a uniform block. */
  bindGroupLayout(numStorage: number, hasBlock: boolean): GPUBindGroupLayout {
    const key = layoutKey(numStorage, hasBlock);
    const known = this.#layouts.get(key);
    if (known !== undefined) return known;
    const entries: GPUBindGroupLayoutEntry[] = Array.from({ length: numStorage + Number(hasBlock) }, (_, binding) => ({
      binding,
      visibility: computeStage,
      buffer: { type: binding < numStorage ? "storage" : "uniform" },
    }));
    const layout = this.device.createBindGroupLayout({ label: key, entries });
    this.#layouts.set(key, layout);
    return layout;
  }

  /** The bind group of these ranges; `key` tells it from others of the same layout. */
  bindGroup(key: string, storage: readonly GPUBufferBinding[], block: GPUBufferBinding | undefined): GPUBindGroup {
    const label = `${layoutKey(storage.length, block !== undefined)} ${key}`;
    const known = this.#bindGroups.get(label);
    if (known !== undefined) return known;
    const resources = block === undefined ? storage : [...storage, block];
    const group = this.device.createBindGroup({
      label,
      layout: this.bindGroupLayout(storage.length, block !== undefined),
      entries: resources.map((resource, binding) => ({ binding, resource })),
    });
    this.#bindGroups.set(label, group);
    this.statistics.bindGroups++;
    return group;
  }

  submit(encoder: GPUCommandEncoder): void {
    this.device.queue.submit([encoder.finish()]);
    this.statistics.submits++;
  }

  /** Frees all memory at once; without it, it would be freed when the objects are collected. */
  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.length = 0;
  }
}

const layoutKey = (numStorage: number, hasBlock: boolean): string => `${numStorage}${hasBlock ? "+block" : ""}`;
