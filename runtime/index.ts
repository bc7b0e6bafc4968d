// What a program that trains or serves a compiled model imports; generated bindings import nothing else.

export { type BuildSource, memorySource } from "./build-source.ts";
export type { Manifest, ManifestParameter } from "./contract.ts";
export { type Corpus, type CorpusOptions, readCorpus } from "./data/corpus.ts";
export type { Split, TokenStream } from "./data/token-stream.ts";
export { openTokenizer, type Tokenizer } from "./data/tokenizer.ts";
export type { Device, DeviceName } from "./device.ts";
export { Fault } from "./fault.ts";
export type { Host } from "./host.ts";
export { type Generated, type GenerateOptions, Model } from "./model.ts";
export { folderSource, nodeHost } from "./node-host.ts";
export { type OpenOptions, openModel } from "./open-model.ts";
export { type OpenedRun, type OpenRunOptions, openRun } from "./open-run.ts";
export type { Sampling } from "./serve/sampler.ts";
export type { Evaluation } from "./train/evaluate.ts";
export type { ExpertUse, RouterUse } from "./train/expert-loads.ts";
export type { StepReport, TrainObserver, TrainOptions, TrainResult, TrainStart } from "./train/options.ts";
