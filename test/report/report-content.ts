// What reports of tests are made of: the metrics of a small dense run, and a library that is only a word.

import type { ReportContent } from "../../runtime/report/render-report.ts";

/** Two steps of a dense run; the second was evaluated. */
export const denseContent: ReportContent = {
  name: "dense & small",
  spec: "mspec: 1\nname: dense\n",
  metrics: [
    {
      step: 1,
      tokens: 96,
      loss: 5.5,
      gradient_norm: 1.25,
      learning_rate: 0.01,
      sequences: 4,
      skipped: true,
      tokens_per_second: 1000,
    },
    {
      step: 2,
      tokens: 192,
      loss: null,
      gradient_norm: 1,
      learning_rate: 0.005,
      sequences: 4,
      skipped: false,
      validation_loss: 5.25,
      tokens_per_second: 1001,
    },
  ],
  routers: [],
  samples: [{ step: 2, text: "We <the> people\n" }],
  library: { script: "/* charts */", style: ".charts { color: #222; }" },
};
