// @ts-check
// What the tests call in a page. It is bundled with the runtime; results go back to the test as JSON.

import { Fault, openModel } from "mspec/page";

/** @typedef {import("mspec/page").DeviceName} DeviceName */

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
   */
  async train(address, corpus, prompt) {
    const model = await openModel(address, { device: "webgpu:software" });
    /** @type {number[]} */
    const losses = [];
    const result = await model.train({ corpus, observer: { onStep: ({ loss }) => losses.push(loss) } });
    const { tokens } = await model.generate({ prompt, maxTokens: 24, temperature: 0 });
    const { loss: evaluated } = await model.evaluate(corpus);
    const [name] = model.parameterNames;
    const parameter = [...(await model.parameter(name)).subarray(0, 8)];
    await model.close();
    return { losses, validationLoss: result.validationLoss, tokens: [...tokens], evaluated, parameter };
  },
};

Object.assign(globalThis, { mspecTest: calls });
