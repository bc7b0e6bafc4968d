// Opens what a training run has saved: its compiled model, its tokenizer and the weights of a checkpoint.

import type { DeviceName } from "./device.ts";
import { manifestFiles, targetNames, targetOfDevice } from "./device-targets.ts";
import { checksumOfText, type Disk } from "./files/disk.ts";
import type { Checkpoint } from "./files/find-checkpoint.ts";
import type { Host } from "./host.ts";
import { runNotCompiledFor } from "./messages/model.ts";
import { partChanged } from "./messages/train.ts";
import type { Model } from "./model.ts";
import { folderSource, nodeHost } from "./node-host.ts";
import { openModel } from "./open-model.ts";
import { readParameters } from "./train/device-state.ts";
import { findRunCheckpoint, runNames } from "./train/run-folder.ts";
import { decodeState } from "./train/run-state.ts";

export interface OpenRunOptions {
  readonly device?: DeviceName;
  readonly threads?: number;
  /** See HostedOptions. */
  readonly deadlineSeconds?: number;
  readonly host?: Partial<Host>;
}

export interface OpenedRun {
  readonly model: Model;
  /** Of the checkpoint. */
  readonly step: number;
  readonly folder: string;
  /** A sentence for each newer checkpoint that is damaged and was left out. */
  readonly warnings: readonly string[];
}

/** The model of a run with the weights of its newest complete checkpoint. */
export async function openRun(folder: string, options: OpenRunOptions = {}): Promise<OpenedRun> {
  const { disk } = { ...nodeHost, ...options.host };
  const { checkpoint, warnings } = await findRunCheckpoint(disk, folder);
  const model = await openRunModel(folder, options);
  try {
    await checkTokenizer(disk, model, checkpoint, folder);
    await model.setParameters(await readParameters(checkpoint, model.manifest.parameters));
    return { model, step: checkpoint.step, folder: checkpoint.folder, warnings };
  } catch (error) {
    await model.close();
    throw error;
  }
}

/** Another tokenizer of the same size would write nonsense without a word. Errors: `train/tokenizer-changed`. */
async function checkTokenizer(disk: Disk, model: Model, checkpoint: Checkpoint, folder: string): Promise<void> {
  const { tokenizerJson } = model;
  const found = tokenizerJson === undefined ? "" : checksumOfText(disk, tokenizerJson);
  const state = decodeState(await checkpoint.readState());
  if ("step" in state && state.tokenizer !== found) throw partChanged("tokenizer", `${folder}/${runNames.tokenizer}`);
}

/** The compiled model of a run folder, without weights. Errors: `model/not-compiled-for`. */
export async function openRunModel(folder: string, options: OpenRunOptions = {}): Promise<Model> {
  const { disk } = { ...nodeHost, ...options.host };
  await checkTarget(disk, folder, options.device ?? "wasm");
  const path = `${folder}/${runNames.tokenizer}`;
  const tokenizer = (await disk.stat(path)) === undefined ? {} : { tokenizer: path };
  return openModel(folderSource(`${folder}/${runNames.compiled}`, disk), { ...options, ...tokenizer });
}

async function checkTarget(disk: Disk, folder: string, device: DeviceName): Promise<void> {
  const target = targetOfDevice[device];
  const isThere = await Promise.all(
    targetNames.map(
      async (name) => (await disk.stat(`${folder}/${runNames.compiled}/${manifestFiles[name]}`)) !== undefined,
    ),
  );
  const targets = targetNames.filter((_, i) => isThere[i]);
  if (targets.length > 0 && !targets.includes(target)) throw runNotCompiledFor(folder, device, target, targets);
}
