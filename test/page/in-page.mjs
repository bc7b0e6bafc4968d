// @ts-check
// What the tests call in a page. It is bundled with the runtime; results go back to the test as JSON.

import { Fault, openModel } from "mspec/page";

/** @typedef {import("mspec/page").DeviceName} DeviceName */
/** @typedef {import("mspec/page").Model} Model */
/** @typedef {import("../../runtime/devices/webgpu.ts").WebGpuDevice} WebGpuDevice */

/** @type {Model | undefined} */
let trained;

const calls = {
  /** The message of the fault with which a model does not open. @param {string} address @param {DeviceName} device */
  async refusal(address, device) {
    try {
      await openModel(address, { device });
      return "it opened";
    } catch (error) {
      return error instanceof Fault ? error.message : `no fault: ${error}`;
    }
  },

  /**
   * Writes a tensor, runs a program, and reads another tensor.
   * @param {string} address
   * @param {Readonly<Record<string, number[]>>} values by tensor
   * @param {string} program
   * @param {Readonly<Record<string, number>>} counts
   * @param {string} wanted
   */
  async run(address, values, program, counts, wanted) {
    const { device } = await openModel(address, { device: "webgpu:software" });
    for (const [name, list] of Object.entries(values)) device.write(name, Float32Array.from(list));
    const [read] = await device.runAndRead(program, counts, [{ tensor: wanted }]);
    const { description } = device;
    await device.close();
    return { description, values: [...read] };
  },

  /**
   * Trains a model from its first weights and lets it write.
   * @param {string} address
   * @param {readonly string[]} corpus
   * @param {string} prompt
   * @param {number} maxTokens
   */
  async train(address, corpus, prompt, maxTokens) {
    const model = await openModel(address, { device: "webgpu:software" });
    trained = model;
    /** @type {number[]} */
    const losses = [];
    const result = await model.train({ corpus, observer: { onStep: ({ loss }) => losses.push(loss) } });
    const { tokens } = await model.generate({ prompt, maxTokens, temperature: 0 });
    const { loss: evaluated } = await model.evaluate(corpus);
    return { losses, validationLoss: result.validationLoss, tokens: [...tokens], evaluated };
  },

  /**
   * The message with which training ends when the device of the model that was trained is destroyed behind a step.
   * @param {readonly string[]} corpus
   * @param {number} last
   */
  async lose(corpus, last) {
    const model = trained;
    if (model === undefined) return "nothing was trained";
    /** @param {import("mspec/page").StepReport} report */
    const onStep = ({ step }) => {
      if (step === last) /** @type {WebGpuDevice} */ (model.device).gpuDevice.destroy();
    };
    try {
      await model.train({ corpus, observer: { onStep } });
      return "it trained";
    } catch (error) {
      return error instanceof Fault ? error.message : `no fault: ${error}`;
    }
  },
};

Object.assign(globalThis, { mspecTest: calls });
