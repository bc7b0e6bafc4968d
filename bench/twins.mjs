// @ts-check
// Specs that other systems train as well, and the facts that their programs need to build the same model.

export const sotu = {
  title: "examples/sotu: width 128, 4 layers, vocabulary 512, 4 x 256 tokens",
  path: "examples/sotu/model.yaml",
  facts: {
    vocab: 512,
    width: 128,
    layers: 4,
    heads: 4,
    kv_heads: 2,
    head_dim: 32,
    intermediate: 384,
    sequence: 256,
    sequences: 4,
    tie_embeddings: true,
  },
  steps: 30,
};

export const dense25m = {
  title: "dense-25m: width 512, 4 layers, vocabulary 4096, 4 x 512 tokens",
  path: "bench/dense-25m.mspec.yaml",
  facts: {
    vocab: 4096,
    width: 512,
    layers: 4,
    heads: 8,
    kv_heads: 4,
    head_dim: 64,
    intermediate: 1408,
    sequence: 512,
    sequences: 4,
    tie_embeddings: false,
  },
  steps: 8,
};
