// The loss of a model on text that it is not trained on.

import type { ManifestTraining } from "../contract.ts";
import { checkValidationLength, countEvaluationWindows, evaluationBatch } from "../data/batches.ts";
import type { TokenStream } from "../data/token-stream.ts";
import type { Device } from "../device.ts";
import { countTargets, writeMicroBatch } from "./step.ts";

export interface Evaluation {
  /** Mean over the tokens, in nats. */
  readonly loss: number;
  /** Tokens that were predicted: all but the first. */
  readonly tokens: number;
}

/** Every token but the first counts once; the sum is taken in f64, so it does not depend on how many there are. */
export async function evaluateStream(
  device: Device,
  training: ManifestTraining,
  stream: TokenStream,
): Promise<Evaluation> {
  checkValidationLength(stream);
  const windows = countEvaluationWindows(stream, training.sequence);
  let sum = 0;
  let tokens = 0;
  for (let first = 0; first < windows; first += training.micro) {
    const batch = evaluationBatch(stream, training.sequence, first, training.micro);
    writeMicroBatch(device, training, batch, 0, 0);
    await device.run("evaluate");
    sum += (await device.read("metrics.loss"))[0];
    tokens += countTargets(batch);
  }
  return { loss: sum / tokens, tokens };
}
