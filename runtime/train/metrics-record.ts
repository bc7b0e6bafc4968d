// The line of metrics.jsonl that tells of a step.

import type { MetricsRecord } from "../files/metrics-log.ts";
import { type ExpertUse, loadShares } from "./expert-loads.ts";
import type { StepReport } from "./options.ts";

/**
 * Most loads of a line, 7 bytes each: half of what a reader takes for a line. 58 routers of 256 experts are 14,848, which
 * is 75 KB and the reason why only steps that evaluate have them.
 */
const mostLoads = 65_536;

/** What a model lacks has no name in its lines, so those of a dense model have nothing of experts. */
export function metricsRecord(report: StepReport): MetricsRecord {
  const { step, tokens, loss, gradientNorm, learningRate, sequences, isSkipped, validationLoss } = report;
  const { losses, experts, validationExperts } = report;
  const isShown = validationLoss !== undefined || step === report.steps;
  return {
    step,
    tokens,
    loss,
    ...(Object.keys(losses).length === 0 ? {} : { losses }),
    gradient_norm: gradientNorm,
    learning_rate: learningRate,
    sequences,
    skipped: isSkipped,
    ...(experts === undefined ? {} : violations("", experts)),
    ...(validationLoss === undefined ? {} : { validation_loss: validationLoss }),
    ...(validationExperts === undefined ? {} : violations("validation_", validationExperts)),
    ...(experts === undefined || !isShown ? {} : shares(experts)),
    tokens_per_second: Math.round(report.tokensPerSecond),
  };
}

function violations(prefix: string, { maxViolation, routers }: ExpertUse): Readonly<Record<string, number | number[]>> {
  return {
    [`${prefix}max_violation`]: rounded(maxViolation, 4),
    [`${prefix}max_violation_by_layer`]: routers.map((router) => rounded(router.maxViolation, 4)),
  };
}

/** Loads by router, where 1 is balanced; two decimals, so 0 is less than half a percent of the mean. */
function shares({ routers }: ExpertUse): Pick<MetricsRecord, "loads"> | undefined {
  if (routers.reduce((count, { choices }) => count + choices.length, 0) > mostLoads) return undefined;
  const all = routers.map(
    ({ path, choices }) => [path, loadShares(choices).map((share) => rounded(share, 2))] as const,
  );
  return { loads: Object.fromEntries(all) };
}

const rounded = (value: number, decimals: number): number => Number(value.toFixed(decimals));
