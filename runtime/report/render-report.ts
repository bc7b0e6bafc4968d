// A run as one HTML page that needs nothing else: curves, samples, configuration. Makes text only; reads no file.

import type { MetricsRecord } from "../files/metrics-log.ts";
import { type Chart, chartsOf } from "./charts.ts";
import { expertSection } from "./expert-maps.ts";
import { escaped } from "./markup.ts";

export interface ReportContent {
  readonly name: string;
  /** The normalised spec. */
  readonly spec: string;
  readonly metrics: readonly MetricsRecord[];
  /** Paths of the model's routers, in the order in which metrics tell of them. */
  readonly routers: readonly string[];
  /** In the order of their steps. */
  readonly samples: readonly { readonly step: number; readonly text: string }[];
  /** The charts' library, to be inlined. */
  readonly library: { readonly script: string; readonly style: string };
}

/** Nothing of a run's text becomes markup, and no data ends the script that holds it. */
export function renderReport(content: ReportContent): string {
  const { name, spec, samples, library, metrics, routers } = content;
  const charts = chartsOf(metrics);
  const experts = expertSection(metrics, routers);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(name)}: training</title>
<style>${library.style}${pageStyle}${experts === "" ? "" : heatmapStyle}</style>
</head>
<body>
<h1>${escaped(name)}</h1>
<p>${escaped(summary(content))}</p>
<div id="charts"></div>${experts}
${samples.length > 0 ? "<h2>Samples</h2>" : ""}
${samples.map(({ step, text }) => `<h3>step ${step}</h3>\n<pre>${escaped(text)}</pre>`).join("\n")}
<h2>Spec</h2>
<pre>${escaped(spec)}</pre>
<script>${library.script}</script>
<script>
const charts = ${scriptJson(charts)};
${drawingOf(charts)}
</script>
</body>
</html>
`;
}

function summary({ metrics }: ReportContent): string {
  const last = metrics.at(-1);
  if (last === undefined) return "No step was made.";
  const validation = metrics.findLast((record) => typeof record.validation_loss === "number");
  const skipped = metrics.filter((record) => record.skipped === true).length;
  const [steps, tokens] = [last.step, last.tokens].map((count) => Number(count).toLocaleString("en-US"));
  const parts = [`${steps} steps`, `${tokens} tokens`, `last training loss ${shortNumber(last.loss)}`];
  if (validation !== undefined) {
    parts.push(`validation loss ${shortNumber(validation.validation_loss)} at step ${validation.step}`);
  }
  if (typeof last.max_violation === "number") parts.push(`last MaxVio ${last.max_violation.toFixed(2)}`);
  if (skipped > 0) parts.push(`${skipped} steps skipped because their gradients were not finite`);
  return `${parts.join(", ")}.`;
}

const shortNumber = (value: unknown): string => (typeof value === "number" ? value.toFixed(4) : "not finite");

/** JSON that may stand in a script: `</script>` and `<!--` cannot appear in it. */
const scriptJson = (value: unknown): string => JSON.stringify(value).replaceAll("<", "\\u003c");

const pageStyle = `
body { font: 15px/1.5 system-ui, sans-serif; max-width: 960px; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff; }
pre { background: #f5f5f5; padding: 0.8rem; overflow-x: auto; white-space: pre-wrap; }
.uplot { margin-bottom: 1.5rem; }
`;

const heatmapStyle = `.heatmap { width: 100%; display: block; }
.heatmap text { font: 11px ui-monospace, monospace; fill: #222; }
.heatmap rect { shape-rendering: crispEdges; }
`;

/** Most curves of a chart are two; more take these in turn. */
const palette = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a"];

function colorsFor(charts: readonly Chart[]): string {
  const most = Math.max(2, ...charts.map(({ curves }) => curves.length));
  return Array.from({ length: most }, (_, i) => `"${palette[i % palette.length]}"`).join(", ");
}

/** Runs in the page: a line for what every step has, dots for what only some have. */
const drawingOf = (charts: readonly Chart[]): string => `
const colors = [${colorsFor(charts)}];
const tick = (value) => value === null ? "" : value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
for (const { title, isLogarithmic, steps, curves } of charts) {
  const drawn = curves.filter(({ points }) => points.some((point) => point !== null));
  if (drawn.length === 0) continue;
  const series = drawn.map(({ label, points }, i) => {
    const isSparse = points.filter((point) => point !== null).length < steps.length / 2;
    return { label, stroke: colors[i], width: isSparse ? 0 : 1.5, points: { show: isSparse, size: 7, fill: colors[i] } };
  });
  const options = {
    title, width: Math.min(920, innerWidth - 40), height: 280, series: [{ label: "step" }, ...series],
    scales: { x: { time: false }, y: { distr: isLogarithmic ? 3 : 1 } },
    axes: [{}, { size: 64, values: (_, ticks) => ticks.map(tick) }],
  };
  new uPlot(options, [steps, ...drawn.map(({ points }) => points)], document.getElementById("charts"));
}
`;
