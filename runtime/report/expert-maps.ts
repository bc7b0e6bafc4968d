// How a run used its experts, as two maps: MaxVio of every layer over the steps, and the loads that were told last.

import type { MetricsRecord } from "../files/metrics-log.ts";
import { listOf, numberOf, recordOf } from "./charts.ts";
import { type Cell, type Heatmap, heatmapSvg, type Scale } from "./heatmap.ts";

/** Six pixels each beside labels; every cell costs the page a hundred bytes. */
const mostColumns = 120;
const mostTicks = 16;

/** The section of a report about experts; empty where no step has any. `routers` are the paths of the manifest. */
export function expertSection(metrics: readonly MetricsRecord[], routers: readonly string[]): string {
  const violations = violationMap(metrics, routers);
  if (violations === undefined) return "";
  const loads = loadMap(metrics);
  return `
<h2>Experts</h2>
<h3>MaxVio by layer</h3>
<p>By how much of the mean load the load of the busiest expert lies above it, in each step: 0 is balanced.${
    violations.steps === 1 ? "" : ` Each column is the mean of ${violations.steps} steps.`
  }</p>
${heatmapSvg(violations.map)}${
  loads === undefined
    ? ""
    : `
<h3>Loads of experts at step ${loads.step}</h3>
<p>As shares of the mean load of the layer: 1 is balanced, 0 is less than half a percent.</p>
${heatmapSvg(loads.map)}`
}`;
}

/** Steps are put together where there are more than columns: `steps` in each, the last may have fewer. */
function violationMap(
  metrics: readonly MetricsRecord[],
  routers: readonly string[],
): { steps: number; map: Heatmap } | undefined {
  const told = metrics.filter((record) => listOf(record.max_violation_by_layer).length > 0);
  if (told.length === 0) return undefined;
  const first = told[0].step;
  const span = told[told.length - 1].step - first + 1;
  const steps = Math.ceil(span / mostColumns);
  const columns = Math.ceil(span / steps);
  const layers = Math.max(...told.map((record) => listOf(record.max_violation_by_layer).length));
  const sums = Array.from({ length: layers }, () => Array.from({ length: columns }, () => ({ sum: 0, count: 0 })));
  for (const { step, max_violation_by_layer: values } of told) {
    listOf(values).forEach((value, layer) => {
      const bin = sums[layer][Math.floor((step - first) / steps)];
      bin.sum += numberOf(value) ?? 0;
      bin.count += numberOf(value) === null ? 0 : 1;
    });
  }
  const rows = sums.map((bins, layer) => {
    const label = routers[layer] ?? `router ${layer}`;
    const cells = bins.map(({ sum, count }, column): Cell | undefined => {
      if (count === 0) return undefined;
      const begin = first + column * steps;
      const when = steps === 1 ? `step ${begin}` : `steps ${begin} to ${Math.min(begin + steps, first + span) - 1}`;
      return { value: sum / count, title: `${label}, ${when}: MaxVio ${(sum / count).toFixed(2)}` };
    });
    return { label, cells };
  });
  const ticks = ticksOf(columns, (column) => String(first + column * steps));
  return { steps, map: { label: "MaxVio by layer and step", rows, axis: "step", ticks, scale: violationScale } };
}

function loadMap(metrics: readonly MetricsRecord[]): { step: number; map: Heatmap } | undefined {
  const last = metrics.findLast(({ loads }) => Object.keys(recordOf(loads)).length > 0);
  if (last === undefined) return undefined;
  const rows = Object.entries(recordOf(last.loads)).map(([label, shares]) => {
    const cells = listOf(shares).map((share, expert): Cell | undefined => {
      const value = numberOf(share);
      return value === null ? undefined : { value, title: `${label}, expert ${expert}: ${value} of the mean load` };
    });
    return { label, cells };
  });
  const ticks = ticksOf(Math.max(...rows.map(({ cells }) => cells.length)), String);
  const map = { label: "Loads by layer and expert", rows, axis: "expert", ticks, scale: loadScale };
  return { step: last.step, map };
}

/** Names of at most `mostTicks` columns, a power of two apart. */
function ticksOf(columns: number, name: (column: number) => string): Heatmap["ticks"] {
  let apart = 1;
  while (columns > apart * mostTicks) apart *= 2;
  const count = Math.ceil(columns / apart);
  return Array.from({ length: count }, (_, i) => ({ column: i * apart, text: name(i * apart) }));
}

const marked = (...values: readonly number[]): Scale["marks"] =>
  values.map((value) => ({ value, text: String(value) }));

/**
 * From 0 to everything at one expert of very many, the same in every run, so that runs can be compared; the root keeps
 * 0.04, where balance without losses ends up (arXiv:2408.15664, table 2), apart from 0.7, where it would be without.
 */
const violationScale: Scale = {
  position: (value) => Math.sqrt(value / (1 + value)),
  // ColorBrewer's Oranges.
  colors: [
    [255, 245, 235],
    [253, 208, 162],
    [253, 141, 60],
    [217, 72, 1],
    [80, 25, 0],
  ],
  marks: marked(0, 0.04, 0.2, 0.5, 1, 2, 5),
};

/** Halves and doubles of the mean load lie equally far from it. */
const loadScale: Scale = {
  position: (share) => share / (1 + share),
  // ColorBrewer's RdBu, blue for what is idle.
  colors: [
    [5, 48, 97],
    [67, 147, 195],
    [247, 247, 247],
    [214, 96, 77],
    [103, 0, 31],
  ],
  marks: marked(0, 0.25, 0.5, 1, 2, 4),
};
