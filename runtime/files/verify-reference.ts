// Reference data of a model as a folder: what another system computed with the same weights. Compares nothing.
// The help of `mspec verify` says what is in its files.

import { badReference, noReference, otherModel } from "../messages/verify.ts";
import { type Disk, type FileReader, readText } from "./disk.ts";
import { openSafetensors, type SafetensorsFile } from "./safetensors.ts";

/** How the reference was trained; absent where ref.json does not say it. */
export interface ReferenceOptimizer {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  readonly clip: number | undefined;
  readonly steps: number;
}

/** Sequences of one length, with the label of every token; the target of a token is the label behind it. */
export interface ReferenceBatches {
  readonly count: number;
  readonly sequences: number;
  readonly sequence: number;
  readonly tokens: Int32Array;
  /** Below 0: no target. */
  readonly labels: Int32Array;
}

const names = {
  data: "ref.safetensors",
  facts: "ref.json",
  gradients: "grads.safetensors",
  after: "after3.safetensors",
};
const factsLimit = 1 << 24;

interface OpenFile {
  readonly reader: FileReader;
  readonly file: SafetensorsFile;
}
type Facts = Readonly<Record<string, unknown>>;

/** An open folder; `close` closes its files. */
export class Reference {
  readonly folder: string;
  readonly #files: ReadonlyMap<string, OpenFile>;
  readonly #facts: Facts;

  private constructor(folder: string, files: ReadonlyMap<string, OpenFile>, facts: Facts) {
    this.folder = folder;
    this.#files = files;
    this.#facts = facts;
  }

  /** Errors: `verify/no-reference`, `verify/bad-reference`, `safetensors/…`. */
  static async open(disk: Disk, folder: string): Promise<Reference> {
    if ((await disk.stat(`${folder}/${names.data}`)) === undefined) throw noReference(folder, names.data);
    const facts = await readFacts(disk, `${folder}/${names.facts}`);
    const files = new Map<string, OpenFile>();
    try {
      for (const name of [names.data, names.gradients, names.after]) {
        if ((await disk.stat(`${folder}/${name}`)) === undefined) continue;
        const reader = await disk.openRead(`${folder}/${name}`);
        files.set(name, { reader, file: await openSafetensors(reader) });
      }
      return new Reference(folder, files, facts);
    } catch (error) {
      for (const { reader } of files.values()) await reader.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const { reader } of this.#files.values()) await reader.close();
  }

  get path(): string {
    return `${this.folder}/${names.data}`;
  }

  get gradients(): SafetensorsFile | undefined {
    return this.#files.get(names.gradients)?.file;
  }

  get after(): SafetensorsFile | undefined {
    return this.#files.get(names.after)?.file;
  }

  get #data(): SafetensorsFile {
    const data = this.#files.get(names.data);
    if (data === undefined) throw noReference(this.folder, names.data);
    return data.file;
  }

  /** The numbers of the prompts, in order. */
  get prompts(): number[] {
    const numbers = [...this.#data.tensors.keys()].flatMap((name) => /^prompt\.(\d{1,6})$/.exec(name)?.[1] ?? []);
    return numbers.map(Number).toSorted((a, b) => a - b);
  }

  has(name: string): boolean {
    return this.#data.tensors.has(name);
  }

  shapeOf(name: string): readonly number[] {
    return this.#data.tensor(name).shape;
  }

  /** Whole numbers of I64 or I32. */
  async integers(name: string): Promise<Int32Array> {
    const tensor = this.#data.tensor(name);
    const bytes = (await this.#data.readBytes(tensor, 0, tensor.end - tensor.begin)).slice();
    if (tensor.dtype === "I32") return new Int32Array(bytes.buffer);
    if (tensor.dtype !== "I64") throw badReference(this.path, `${name} is ${tensor.dtype}; ids are I64 or I32`);
    return Int32Array.from(new BigInt64Array(bytes.buffer), Number);
  }

  async floats(name: string): Promise<Float32Array> {
    return floatsOf(this.#data, name);
  }

  /** Undefined where there are none. Without labels, every token is one. */
  async batches(): Promise<ReferenceBatches | undefined> {
    if (!this.has("batches")) return undefined;
    const shape = this.shapeOf("batches");
    const labelsName = this.has("labels") ? "labels" : "batches";
    if (shape.length !== 3 || shape.includes(0) || shape.join() !== this.shapeOf(labelsName).join()) {
      throw badReference(this.path, "batches and labels must both be [batches, sequences, tokens]");
    }
    const [count, sequences, sequence] = shape;
    const [tokens, labels] = [await this.integers("batches"), await this.integers(labelsName)];
    return { count, sequences, sequence, tokens, labels };
  }

  /** The loss of the next token on the first batch. */
  get loss(): number | undefined {
    return this.#number("loss_batch0") ?? this.#number("main_loss");
  }

  /** The loss of the token behind that. */
  get mtpLoss(): number | undefined {
    return this.#number("mtp_loss");
  }

  /** Its coefficient in what was differentiated. */
  get mtpWeight(): number | undefined {
    return this.#number("lambda_");
  }

  #number(name: string): number | undefined {
    const value = this.#facts[name];
    return typeof value === "number" ? value : undefined;
  }

  /** Undefined where ref.json says nothing of it, or something that mspec's training does not do. */
  get optimizer(): ReferenceOptimizer | undefined {
    const facts = this.#facts.optimizer;
    if (typeof facts !== "object" || facts === null) return undefined;
    const { optimizer, lr, betas, eps, weight_decay, clip_grad_norm, steps, schedule } = facts as Record<
      string,
      unknown
    >;
    const isKnown = optimizer === "torch.optim.AdamW" && (schedule === undefined || schedule === "constant");
    const isPair = Array.isArray(betas) && betas.length === 2 && betas.every(isNumber);
    if (!isKnown || !isPair || !isNumber(lr) || !isNumber(eps) || !isNumber(weight_decay) || !isNumber(steps)) {
      return undefined;
    }
    const clip = isNumber(clip_grad_norm) && clip_grad_norm > 0 ? clip_grad_norm : undefined;
    return { lr, betas: [betas[0], betas[1]], eps, weightDecay: weight_decay, clip, steps };
  }
}

const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value) && value >= 0;

/** A float tensor of a file, whole. */
async function floatsOf(file: SafetensorsFile, name: string): Promise<Float32Array> {
  const { shape } = file.tensor(name);
  const values = new Float32Array(shape.reduce((count, size) => count * size, 1));
  await file.readFloats(name, values);
  return values;
}

async function readFacts(disk: Disk, path: string): Promise<Facts> {
  if ((await disk.stat(path)) === undefined) return {};
  try {
    const facts: unknown = JSON.parse((await readText(disk, path, factsLimit)) ?? "");
    if (typeof facts === "object" && facts !== null) return facts as Facts;
  } catch (error) {
    throw badReference(path, error instanceof Error ? error.message : String(error));
  }
  throw badReference(path, "it is no object");
}

/** A token outside the vocabulary would read what is no row of the embedding. */
export function checkReferenceTokens({ path }: Reference, name: string, tokens: Int32Array, vocab: number): void {
  const outside = tokens.find((token) => !(token >= 0 && token < vocab));
  if (outside !== undefined) throw otherModel(path, `${name} holds token ${outside}, the model has ${vocab}`);
}
