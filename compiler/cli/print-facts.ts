// What a person is told before training: parameters by part, work per token, memory by class, the device and why.

import type { Model } from "../../runtime/model.ts";
import * as say from "../source/messages/train.ts";
import type { Spec } from "../spec/spec.ts";
import { modelSize, trainingFlops } from "./model-facts.ts";
import { table } from "./table.ts";

export function printFacts(spec: Spec, model: Model, because: string): void {
  const { manifest, device } = model;
  const size = modelSize(spec.model, manifest.parameters);
  const flops = trainingFlops(spec.model, size, spec.train?.sequence ?? spec.model.context);
  const parts = size.parts.map(({ part, parameters }) => [part, say.count(parameters)]);
  const mtp = size.mtp === undefined ? [] : [[size.mtp.part, say.count(size.mtp.parameters)]];
  const memory = Object.entries(manifest.arenas).map(([name, bytes]) => [name, say.memoryClass(bytes)]);
  const lines = [
    table(`${spec.name}: parameters`, [...parts, ["all", say.count(size.parameters)], ...mtp]),
    say.flopsPerToken(flops),
    table("memory", memory),
    say.deviceLine(device.description, device.memoryBytes, because),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}
