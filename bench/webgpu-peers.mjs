// @ts-check
// Other systems on the same adapter, from a folder that somebody installed them into: mspec does not depend on them.

import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { median } from "./model.mjs";
import { startPeer } from "./peer.mjs";
import { sotu } from "./twins.mjs";

const twin = fileURLToPath(new URL("tfjs-twin.mjs", import.meta.url));
const packages = ["@tensorflow/tfjs", "@tensorflow/tfjs-backend-webgpu"];
/** The first step makes the pipelines. */
const steps = 3;

/** What is missing of tfjs in a folder. @param {string | undefined} folder */
function missingOf(folder) {
  if (folder === undefined) return "no folder is given by `--peers FOLDER`";
  const { resolve: find } = createRequire(join(resolve(folder), "package.json"));
  const missing = packages.filter((name) => {
    try {
      return find(name) === "";
    } catch {
      return true;
    }
  });
  return missing.length === 0 ? undefined : `that folder has no ${missing.join(" and no ")}`;
}

/**
 * Milliseconds of a step of tfjs with the demo's model, of which of the host, and tokens per second; or why there are none.
 * @param {string | undefined} folder @param {import("./webgpu-ops.mjs").GpuName} device
 */
export async function tfjsSteps(folder, device) {
  const missing = missingOf(folder);
  if (missing !== undefined || folder === undefined) return { missing, measured: undefined };
  const peer = await startPeer(process.execPath, [twin, folder, device, JSON.stringify(sotu.facts)]);
  const answers = [];
  for (let i = 0; i < steps; i++) answers.push(await peer.ask("step"));
  peer.stop();
  const later = answers.slice(1);
  const milliseconds = 1e3 * median(later.map(({ seconds }) => seconds));
  const host = 1e3 * median(later.map((answer) => answer.host));
  const speed = (1e3 * sotu.facts.sequences * sotu.facts.sequence) / milliseconds;
  return { missing, measured: { milliseconds, host, speed } };
}
