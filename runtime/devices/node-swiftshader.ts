// A software driver of Vulkan for Dawn in Node: the one that the environment names, or SwiftShader out of the package
// @sparticuz/chromium, unpacked once into a cache.

import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import * as messages from "../messages/webgpu.ts";

export const loaderName = "libvulkan.so.1";

/** Makes the loader of Vulkan find a software driver. Errors: `device/no-software-driver`, `device/cache-unwritable`. */
export async function useSoftwareDriver(): Promise<void> {
  if (process.env.VK_DRIVER_FILES !== undefined || process.env.VK_ICD_FILENAMES !== undefined) return;
  const folder = await unpackOnce(await findArchive());
  const driver = join(folder, "vk_swiftshader_icd.json");
  // Loaders before Vulkan 1.3.207 know only the older name.
  process.env.VK_DRIVER_FILES = driver;
  process.env.VK_ICD_FILENAMES = driver;
}

/** The loader that comes with the software driver, where that is installed. */
export const bundledLoader = (): Promise<string | undefined> =>
  findArchive()
    .then(unpackOnce)
    .then(
      (folder) => join(folder, loaderName),
      () => undefined,
    );

async function findArchive(): Promise<string> {
  const packageName = "@sparticuz/chromium";
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw messages.noSoftwareDriver(`${packageName} has one for linux x64 only, and this is ${process.platform}`);
  }
  try {
    const entry = createRequire(import.meta.url).resolve(packageName);
    const archive = join(dirname(entry), "..", "..", "bin", "swiftshader.tar.br");
    await stat(archive);
    return archive;
  } catch (error) {
    throw messages.noSoftwareDriver(`${packageName} is not installed`, error);
  }
}

/** The folder of the unpacked archive, which is named for its content. */
async function unpackOnce(archive: string): Promise<string> {
  const packed = await readFile(archive);
  const cache = process.env.MSPEC_CACHE ?? join(homedir(), ".cache", "mspec");
  const folder = join(cache, `swiftshader-${createHash("sha256").update(packed).digest("hex").slice(0, 16)}`);
  if (await isThere(folder)) return folder;
  try {
    await mkdir(cache, { recursive: true });
    const fresh = await mkdtemp(join(cache, "unpacking-"));
    for (const { name, bytes } of tarFiles(brotliDecompressSync(packed))) await writeFile(join(fresh, name), bytes);
    try {
      await rename(fresh, folder);
    } catch (error) {
      await rm(fresh, { recursive: true });
      // Another process may have been faster; what it unpacked is the same.
      if (!(await isThere(folder))) throw error;
    }
  } catch (error) {
    throw messages.cacheUnwritable(cache, error);
  }
  return folder;
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Regular files at the top of a tar archive. */
function* tarFiles(archive: Buffer): Generator<{ name: string; bytes: Buffer }> {
  const blockBytes = 512;
  for (let at = 0; at + blockBytes <= archive.length; ) {
    const header = archive.subarray(at, at + blockBytes);
    const textAt = (start: number, length: number) =>
      header
        .subarray(start, start + length)
        .toString("latin1")
        .replace(/\0.*$/s, "");
    const name = textAt(0, 100).replace(/^\.\//, "");
    if (name === "") return;
    const bytes = Number.parseInt(textAt(124, 12), 8);
    const isFile = ["", "0"].includes(textAt(156, 1));
    if (isFile && !name.includes("/"))
      yield { name, bytes: archive.subarray(at + blockBytes, at + blockBytes + bytes) };
    at += blockBytes * (1 + Math.ceil(bytes / blockBytes));
  }
}
