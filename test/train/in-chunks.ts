// The logits of one text that is put through a model in parts.

import type { Device } from "../../runtime/device.ts";
import { PagedCache } from "../../runtime/serve/paged-cache.ts";

/** Logits of every token, row by row; parts have the sizes in turn. */
export async function logitsInChunks(
  device: Device,
  tokens: readonly number[],
  sizes: readonly number[],
): Promise<Float32Array> {
  const cache = new PagedCache(device);
  const sequence = cache.open(tokens.length);
  if (sequence === undefined) throw new Error("an empty cache has room");
  const logits: number[] = [];
  for (let start = 0, i = 0; start < tokens.length; i++) {
    const part = tokens.slice(start, start + sizes[i % sizes.length]);
    logits.push(...(await cache.extend([{ sequence, tokens: part, logits: "all" }])));
    start += part.length;
  }
  return Float32Array.from(logits);
}
