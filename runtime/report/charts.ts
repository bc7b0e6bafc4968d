// Which curves a run's metrics make. Draws nothing; a name that no step has makes no curve.

import type { MetricsRecord, MetricsValue } from "../files/metrics-log.ts";

/** Curves over steps; a point that is null is not drawn. */
export interface Chart {
  readonly title: string;
  readonly isLogarithmic: boolean;
  readonly steps: readonly number[];
  readonly curves: readonly { readonly label: string; readonly points: readonly (number | null)[] }[];
}

export function chartsOf(metrics: readonly MetricsRecord[]): Chart[] {
  const steps = metrics.map(({ step }) => step);
  const curve = (label: string, key: string) => ({ label, points: metrics.map((record) => numberOf(record[key])) });
  const chart = (title: string, isLogarithmic: boolean, ...curves: Chart["curves"]): Chart => {
    return { title, isLogarithmic, steps, curves };
  };
  const hasExperts = metrics.some((record) => "max_violation" in record);
  return [
    chart("loss, nats per token", false, curve("training", "loss"), curve("validation", "validation_loss")),
    ...lossFamilies(metrics).map(({ title, names }) => {
      return chart(title, false, ...names.map((name) => ({ label: name, points: metrics.map(lossNamed(name)) })));
    }),
    ...(hasExperts
      ? [
          chart(
            "MaxVio, mean of all layers",
            false,
            curve("training", "max_violation"),
            curve("validation", "validation_max_violation"),
          ),
        ]
      : []),
    chart("gradient norm", true, curve("gradient norm", "gradient_norm")),
    chart("learning rate", false, curve("learning rate", "learning_rate")),
    chart("tokens per second", false, curve("tokens per second", "tokens_per_second")),
  ];
}

/** Losses of one family share an axis; a name of no family has a chart of its own. */
const families = [
  { begins: "mtp.", title: "loss of tokens further ahead, nats per token" },
  { begins: "balance.sequence", title: "balance loss of sequences, mean of all layers (1: balanced)" },
  { begins: "balance.batch", title: "balance loss of micro-batches, mean of all layers (1: balanced)" },
  { begins: "balance.z", title: "router z-loss, mean of all layers" },
];

function lossFamilies(metrics: readonly MetricsRecord[]): { title: string; names: string[] }[] {
  const all = [...new Set(metrics.flatMap(({ losses }) => Object.keys(recordOf(losses))))];
  const known = families.map(({ begins, title }) => ({ title, names: all.filter((name) => name.startsWith(begins)) }));
  const others = all.filter((name) => !families.some(({ begins }) => name.startsWith(begins)));
  return [...known.filter(({ names }) => names.length > 0), ...others.map((name) => ({ title: name, names: [name] }))];
}

const lossNamed =
  (name: string) =>
  ({ losses }: MetricsRecord): number | null =>
    numberOf(recordOf(losses)[name]);

/** Values by name; none where a line has something else. */
export function recordOf(value: MetricsValue | undefined): Readonly<Record<string, MetricsValue>> {
  const isRecord = typeof value === "object" && value !== null && !Array.isArray(value);
  return isRecord ? (value as Readonly<Record<string, MetricsValue>>) : {};
}

/** A list; empty where a line has something else. */
export const listOf = (value: MetricsValue | undefined): readonly MetricsValue[] => (Array.isArray(value) ? value : []);

export const numberOf = (value: unknown): number | null => (typeof value === "number" ? value : null);
