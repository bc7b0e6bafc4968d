// `mspec doctor`: what of this machine mspec can use, which device is chosen, and why not the others.

import { freemem, totalmem } from "node:os";
import type { Command } from "commander";
import * as say from "../source/messages/doctor.ts";
import { chooseDevice, coreCount, type FeatureName, hasFeature } from "./choose-device.ts";
import { exitCodes } from "./report-failure.ts";
import { deviceFlag, type deviceNames } from "./spec-flags.ts";

/** Devices that the design names and this version does not run. */
const laterDevices = ["webgpu", "cuda"];
const needed: readonly FeatureName[] = ["simd", "threads"];

interface DoctorFlags {
  readonly device?: (typeof deviceNames)[number];
}

export function addDoctorVerb(program: Command): void {
  program
    .command("doctor")
    .description("tell which devices are here, which is chosen and why not the others")
    .addOption(deviceFlag("ask for a device as the other verbs do"))
    .action(examine);
}

async function examine({ device }: DoctorFlags): Promise<void> {
  const found = await Promise.all(needed.map(async (feature) => ({ feature, isThere: await hasFeature(feature) })));
  const missing = found.filter(({ isThere }) => !isThere).map(({ feature }) => say.featureName(feature));
  const { name, because } = chooseDevice(device);
  const lines = [
    say.nodeLine(process.version, process.platform, process.arch),
    say.machineLine(coreCount(), totalmem(), freemem()),
    ...found.map(({ feature, isThere }) => say.featureLine(feature, isThere)),
    missing.length === 0 ? say.chosen(name, because) : say.notChosen(name, say.cannotRun(missing)),
    ...laterDevices.map((later) => say.notChosen(later, say.notInThisVersion)),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
  if (missing.length > 0) process.exitCode = exitCodes.environment;
}
