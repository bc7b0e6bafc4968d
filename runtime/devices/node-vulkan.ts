// Vulkan below Dawn in Node: its loader, which Dawn asks the system for by name, and the drivers that the loader finds.

import { readdir } from "node:fs/promises";
import { constants } from "node:os";
import * as messages from "../messages/webgpu.ts";
import { bundledLoader, loaderName, useSoftwareDriver } from "./node-swiftshader.ts";

/** Where the loader looks for drivers, besides what the environment names. */
const driverFolders = ["/etc/vulkan/icd.d", "/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];

/**
 * Sees to it that Dawn finds a loader. Without one it would write a warning of its own on the standard error.
 *
 * Errors: `device/no-vulkan`.
 */
export async function needVulkan(): Promise<void> {
  if (process.platform !== "linux" || loadLibrary(loaderName)) return;
  if (!(await hasDriver())) throw messages.noVulkan(`neither ${loaderName}, its loader, nor a driver of a GPU`);
  await needLoader();
}

/**
 * Sees to it that Dawn finds a software driver. From then on it is the only one that this process finds.
 *
 * Errors: `device/no-vulkan`, `device/no-software-driver`, `device/cache-unwritable`.
 */
export async function needSoftwareVulkan(): Promise<void> {
  await useSoftwareDriver();
  await needLoader();
}

/** The system's loader, or the one that comes with the software driver: some containers have a driver and no loader. */
async function needLoader(): Promise<void> {
  if (loadLibrary(loaderName)) return;
  const loader = await bundledLoader();
  if (loader === undefined || !loadLibrary(loader)) throw messages.noVulkan(`a driver, but not ${loaderName}`);
}

async function hasDriver(): Promise<boolean> {
  if (process.env.VK_DRIVER_FILES !== undefined || process.env.VK_ICD_FILENAMES !== undefined) return true;
  const found = await Promise.all(driverFolders.map((folder) => readdir(folder).catch(() => [])));
  return found.flat().some((name) => name.endsWith(".json"));
}

/** Loads a library for the whole process: whoever asks for its name later is given it, wherever it lies. */
function loadLibrary(path: string): boolean {
  const { RTLD_NOW, RTLD_GLOBAL } = constants.dlopen;
  /** Keeps the library after the error; Node has no name for it. */
  const noDelete = 0x1000;
  try {
    process.dlopen({ exports: {} }, path, RTLD_NOW | RTLD_GLOBAL | noDelete);
    return true;
  } catch (error) {
    // A library that is there is no module of Node, and is loaded all the same.
    return String(error).includes("did not self-register");
  }
}
