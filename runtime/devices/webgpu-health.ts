// Whether a GPU still does what it is asked: it may be lost, refuse a run, or be closed, and then every call says so.

import { Fault } from "../fault.ts";
import * as messages from "../messages/webgpu.ts";

/** A reading that fails because the GPU was lost may be told of a little earlier than the loss. */
const lossDelayMilliseconds = 1000;

export interface RefusedLaunch {
  readonly kernel: string;
  readonly path: string;
}

export class GpuHealth {
  readonly #device: GPUDevice;
  readonly #adapter: string;
  #program = "";
  #failure: Error | undefined;
  /** What the GPU is at work on, where that is known. */
  atWork: () => messages.WorkAtHand | undefined = () => undefined;
  /** Called once, with what went wrong first. */
  onFailure: (error: Error) => void = () => {};

  constructor(device: GPUDevice, adapter: string) {
    this.#device = device;
    this.#adapter = adapter;
    device.addEventListener("uncapturederror", this.#onError);
    void device.lost.then((info) => this.fail(this.#lost(info)));
  }

  readonly #onError = (event: GPUUncapturedErrorEvent): void => {
    // It is told here, so that the console need not.
    event.preventDefault();
    this.fail(messages.runFailed(this.#program, event.error.message, undefined));
  };

  #lost({ reason, message }: GPUDeviceLostInfo): Error {
    const why = message === "" ? reason : `${reason}: ${message}`;
    return messages.lost(this.#adapter, this.#program, this.atWork(), why);
  }

  /** From now on every call fails with this, unless one went wrong before. */
  fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    // Dawn would keep the listener, and with it the device and its threads, until the process ends.
    this.#device.removeEventListener("uncapturederror", this.#onError);
    this.onFailure(error);
  }

  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /**
   * Does what a program asks of the GPU; the promise tells when the GPU has agreed, and never rejects. Where it refuses,
   * `locate` says at which launch, if at one.
   */
  watch(program: string, work: () => void, locate: () => Promise<RefusedLaunch | undefined>): Promise<void> {
    this.#program = program;
    this.#device.pushErrorScope("validation");
    let outcome: Promise<GPUError | null> | undefined;
    try {
      work();
    } finally {
      outcome = this.#device.popErrorScope();
      outcome.catch(() => {});
    }
    return outcome.then(
      async (error) => {
        if (error !== null) this.fail(messages.runFailed(program, error.message, await locate()));
      },
      // Scopes end without an outcome where the device is lost, which is told of itself.
      () => {},
    );
  }

  /** Why something could not be read or made: the loss of the GPU where that is the reason, else the error itself. */
  async reasonOf(error: unknown): Promise<unknown> {
    if (this.#failure !== undefined) return this.#failure;
    // What mspec itself says has nothing to do with a loss.
    if (error instanceof Fault || error instanceof RangeError || error instanceof TypeError) return error;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, lossDelayMilliseconds, undefined);
    });
    const info = await Promise.race([this.#device.lost, late]);
    clearTimeout(timer);
    return this.#failure ?? (info === undefined ? error : this.#lost(info));
  }
}
