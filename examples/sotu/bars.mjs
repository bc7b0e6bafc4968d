// @ts-check
// Measures what the demo has trained: its loss beside a bigram model's on the same tokens, and whether it writes words.
// Prints each bar with its figure and ends with 1 when one is missed.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const corpusFolder = join(here, "..", "..", "node_modules", "@stdlib", "datasets-sotu", "data");
const run = join(here, "runs", "sotu");

/** @type {typeof import("../../runtime/index.ts")} */
const { nodeHost, openRun, readCorpus } = await import(new URL("../../dist/runtime/index.js", import.meta.url).href);

/** @typedef {import("../../runtime/index.ts").Model} Model */

/**
 * The loss per token on held-out tokens of p(w | v) = a / vocab + b p(w) + c p(w | v), with the weights that are best
 * for those very tokens: the strongest such model there is.
 *
 * @param {Int32Array} train @param {Int32Array} heldOut @param {number} vocab
 */
function bigramLoss(train, heldOut, vocab) {
  const single = new Float64Array(vocab);
  const before = new Float64Array(vocab);
  const pairs = new Float64Array(vocab * vocab);
  train.forEach((token, i) => {
    single[token]++;
    if (i === 0) return;
    before[train[i - 1]]++;
    pairs[train[i - 1] * vocab + token]++;
  });
  let weights = [1 / 3, 1 / 3, 1 / 3];
  let loss = 0;
  // Expectation and maximisation; it has converged to eight digits by then.
  for (let round = 0; round < 50; round++) {
    const shares = [0, 0, 0];
    loss = 0;
    for (let i = 1; i < heldOut.length; i++) {
      const [last, token] = [heldOut[i - 1], heldOut[i]];
      const followed = before[last] === 0 ? 0 : pairs[last * vocab + token] / before[last];
      const parts = [weights[0] / vocab, (weights[1] * single[token]) / train.length, weights[2] * followed];
      const sum = parts[0] + parts[1] + parts[2];
      loss -= Math.log(sum);
      parts.forEach((part, k) => {
        shares[k] += part / sum;
      });
    }
    weights = shares.map((share) => share / (heldOut.length - 1));
  }
  return loss / (heldOut.length - 1);
}

/** Words are what stands between white space, with punctuation: a letter inside of gibberish is none. @param {string} text */
const wordsOf = (text) => text.split(/\s+/).filter((word) => word !== "");

/** Every word of the corpus, as it is written there. */
function corpusWords() {
  const files = readdirSync(corpusFolder).filter((name) => name.endsWith(".txt"));
  return new Set(files.flatMap((name) => wordsOf(readFileSync(join(corpusFolder, name), "utf8"))));
}

/** At least so many words that the model writes of its own accord; the last one of a text may be cut, so it is left out.
 * @param {Model} model @param {number} count */
async function sampledTexts(model, count) {
  /** @type {string[][]} */
  const texts = [];
  let words = 0;
  for (let sequence = 0; words < count && sequence < 200; sequence += 8) {
    const requests = Array.from({ length: 8 }, (_, i) => ({ prompt: "", maxTokens: 200, sequence: sequence + i }));
    for (const { text } of await model.generateAll(requests)) {
      const found = wordsOf(text).slice(0, -1);
      texts.push(found);
      words += found.length;
    }
  }
  return texts;
}

/** @param {readonly string[][]} texts @param {ReadonlySet<string>} known */
function knownShare(texts, known) {
  const words = texts.flat();
  return words.filter((word) => known.has(word)).length / words.length;
}

/** @param {readonly string[][]} texts */
function distinctPairShare(texts) {
  const pairs = texts.flatMap((words) => words.slice(1).map((word, i) => `${words[i]} ${word}`));
  return new Set(pairs).size / pairs.length;
}

const { model } = await openRun(run);
const { data, training, model: shape } = model.manifest;
if (data === undefined || training === undefined) throw new Error(`${run} was not trained on files`);
const options = { ...data, base: here, seed: training.seed, vocab: shape.vocab };
const corpus = await readCorpus(nodeHost.disk, model.tokenizer, options);
const { loss } = await model.evaluate(corpus.validation);
const bigram = bigramLoss(corpus.train.tokens, corpus.validation.tokens, shape.vocab);
const known = corpusWords();
const texts = await sampledTexts(model, 2000);
await model.initialize();
const untrained = await sampledTexts(model, 2000);
await model.close();

const percent = (/** @type {number} */ share) => `${(100 * share).toFixed(1)} %`;
const below = 1 - loss / bigram;
const bars = [
  {
    says: `held-out loss ${loss.toFixed(4)} is ${percent(below)} below a bigram model's ${bigram.toFixed(4)}; at least 10 %`,
    isMet: below >= 0.1,
  },
  {
    says: `${percent(knownShare(texts, known))} of ${texts.flat().length} sampled words occur in the corpus; at least 80 %`,
    isMet: knownShare(texts, known) >= 0.8,
  },
  {
    says: `${percent(knownShare(untrained, known))} of an untrained model's words do; under 20 %`,
    isMet: knownShare(untrained, known) < 0.2,
  },
  {
    says: `${percent(distinctPairShare(texts))} of pairs of words are distinct; at least 40 %`,
    isMet: distinctPairShare(texts) >= 0.4,
  },
];
for (const { says, isMet } of bars) console.log(`- ${isMet ? "met" : "MISSED"}: ${says}`);
if (bars.some(({ isMet }) => !isMet)) process.exitCode = 1;
