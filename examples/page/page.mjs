// @ts-check
// Trains the model of this folder on the GPU while the page shows how it goes, then lets it write.
// `?device=webgpu:software` takes a software adapter, for machines without a GPU.

import { Fault, openModel } from "mspec/page";
import { drawLoss } from "./loss-curve.mjs";

/**
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
function element(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no #${id}`);
  return found;
}

const trainButton = element("train", HTMLButtonElement);
const writeButton = element("write", HTMLButtonElement);
const state = element("state", HTMLOutputElement);
const text = element("text", HTMLPreElement);

/** @param {"busy" | "done" | "fault"} kind @param {string} sentence */
function say(kind, sentence) {
  state.dataset.kind = kind;
  state.textContent = sentence;
}

const asked = new URLSearchParams(location.search).get("device");
/** @type {import("mspec/page").Model | undefined} */
let model;

async function train() {
  say("busy", "Compiling kernels for this GPU …");
  model ??= await openModel("./model", { device: asked === "webgpu:software" ? asked : "webgpu" });
  await model.initialize();
  const speech = await (await fetch("./text.txt")).text();
  /** @type {[number, number][]} */
  const losses = [];
  /** @type {[number, number][]} */
  const heldOut = [];
  const curves = [
    { name: "trained on", colour: "var(--accent)", points: losses },
    { name: "held out", colour: "var(--held)", points: heldOut },
  ];
  const { description } = model.device;
  const { loss } = await model.train({
    corpus: [speech],
    observer: {
      onStep: ({ step, steps, loss, validationLoss, tokensPerSecond }) => {
        losses.push([step, loss]);
        if (validationLoss !== undefined) heldOut.push([step, validationLoss]);
        drawLoss(element("loss", SVGElement), curves, steps);
        say(
          "busy",
          `Step ${step} of ${steps}, loss ${loss.toFixed(3)}, ${Math.round(tokensPerSecond)} tokens a second`,
        );
      },
    },
  });
  await write();
  say("done", `Trained on ${description}: loss ${loss?.toFixed(3)}`);
}

async function write() {
  if (model === undefined) return;
  const { value } = element("prompt", HTMLInputElement);
  text.textContent = value;
  await model.generate({ prompt: value, maxTokens: 96, temperature: 0.8, onText: (piece) => text.append(piece) });
}

/** One at a time; what goes wrong is told in the page. @param {() => Promise<void>} work */
async function run(work) {
  trainButton.disabled = true;
  writeButton.disabled = true;
  try {
    await work();
  } catch (error) {
    say("fault", error instanceof Fault ? error.message : String(error));
  } finally {
    trainButton.disabled = false;
    writeButton.disabled = model?.hasWeights !== true;
  }
}

trainButton.addEventListener("click", () => run(train));
element("ask", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  run(write);
});
