// `mspec doctor`: what of this machine mspec can use, which device is chosen, and why not the others.

import { freemem, totalmem } from "node:os";
import type { Command } from "commander";
import type { DeviceName } from "../../runtime/device.ts";
import { Fault } from "../../runtime/fault.ts";
import * as say from "../source/messages/doctor.ts";
import { chooseDevice, coreCount, type FeatureName, findAdapter, hasFeature, orFault } from "./choose-device.ts";
import { exitCodes } from "./report-failure.ts";
import { deviceFlag, deviceNames } from "./spec-flags.ts";

/** Devices that the design names and this version does not run. */
const laterDevices = ["cuda"];
const needed: readonly FeatureName[] = ["simd", "threads"];

interface DoctorFlags {
  readonly device?: DeviceName;
}

export function addDoctorVerb(program: Command): void {
  program
    .command("doctor")
    .description("tell which devices are here, which is chosen and why not the others")
    .addOption(deviceFlag("ask for a device as the other verbs do"))
    .action(examine);
}

/** What a device is here, or why it is not. */
interface Examined {
  readonly name: DeviceName;
  /** Why it cannot be had, and the way out. */
  readonly fault?: string;
  readonly facts: readonly string[];
}

async function examine({ device: asked }: DoctorFlags): Promise<void> {
  const devices: Examined[] = [];
  // The software driver is looked for last: beside it no GPU would be found.
  for (const name of deviceNames) devices.push(name === "wasm" ? await examineWasm() : await examineWebGpu(name));
  const chosen = await orFault(chooseDevice(asked));
  const isChosen = ({ name }: Examined) => name === (chosen instanceof Fault ? asked : chosen.name);
  const because = chosen instanceof Fault ? "" : chosen.because;
  const lines = [
    say.nodeLine(process.version, process.platform, process.arch),
    say.machineLine(coreCount(), totalmem(), freemem()),
    ...devices.flatMap((device) => [lineOf(device, isChosen(device), because), ...device.facts.map(say.fact)]),
    ...laterDevices.map((later) => say.notChosen(later, say.notInThisVersion)),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
  if (devices.find(isChosen)?.fault !== undefined) process.exitCode = exitCodes.environment;
}

function lineOf({ name, fault }: Examined, isChosen: boolean, because: string): string {
  if (fault !== undefined) return say.notChosen(name, fault);
  if (isChosen) return say.chosen(name, because);
  return say.notChosen(name, name === "webgpu:software" ? say.onlyByName : say.anotherIsTaken);
}

async function examineWasm(): Promise<Examined> {
  const found = await Promise.all(needed.map(async (feature) => ({ feature, isThere: await hasFeature(feature) })));
  const missing = found.filter(({ isThere }) => !isThere).map(({ feature }) => say.featureName(feature));
  return {
    name: "wasm",
    ...(missing.length === 0 ? {} : { fault: say.cannotRun(missing) }),
    facts: found.map(({ feature, isThere }) => say.featureLine(feature, isThere)),
  };
}

async function examineWebGpu(name: "webgpu" | "webgpu:software"): Promise<Examined> {
  const found = await orFault(findAdapter(name));
  if (found instanceof Fault) return { name, fault: say.reasonOf(found), facts: [] };
  const { adapter, description } = found;
  const { featuresOf, usefulFeatures } = await import("../../runtime/devices/webgpu-adapter.ts");
  const features = featuresOf(adapter);
  const missing = usefulFeatures.filter((feature) => !features.includes(feature));
  return { name, facts: [description, say.limitsLine(adapter.limits), say.featuresLine(features, missing)] };
}
