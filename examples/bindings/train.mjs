// @ts-check
// Trains the tiny model from a program, through its bindings: a misspelt parameter, option or fact does not pass `tsc`.
// `mspec compile specs/tiny.mspec.yaml` makes what is imported here.

import { fileURLToPath } from "node:url";
import { facts, open } from "../../generated/tiny/model.js";

const model = await open();
try {
  /** @type {number[]} */
  const losses = [];
  // The spec says what is read, the base where that begins: the text that `mspec init` gives to every new model.
  await model.train({
    base: fileURLToPath(new URL("../../templates/init", import.meta.url)),
    observer: { onStep: ({ loss }) => losses.push(loss) },
  });
  const weight = await model.parameter("layers.1.ffn.up.weight");
  const { text } = await model.generate({ prompt: "We ", maxTokens: 20, temperature: 0 });
  console.log(`${facts.name}: ${losses.length} steps, loss ${losses[0].toFixed(2)} to ${losses.at(-1)?.toFixed(2)}`);
  console.log(`layers.1.ffn.up.weight has ${weight.length} values`);
  console.log(`We ${text}`);
} finally {
  await model.close();
}
