// What Hugging Face checkpoints call a model's parameters, per family, both ways. Knows names only: no shape, no file.

/** `{i}` stands for the number of a layer. */
type NameTable = readonly (readonly [ours: string, theirs: string])[];

const llama: NameTable = [
  ["embedding.weight", "model.embed_tokens.weight"],
  ["layers.{i}.attention.norm.weight", "model.layers.{i}.input_layernorm.weight"],
  ["layers.{i}.attention.q.weight", "model.layers.{i}.self_attn.q_proj.weight"],
  ["layers.{i}.attention.k.weight", "model.layers.{i}.self_attn.k_proj.weight"],
  ["layers.{i}.attention.v.weight", "model.layers.{i}.self_attn.v_proj.weight"],
  ["layers.{i}.attention.out.weight", "model.layers.{i}.self_attn.o_proj.weight"],
  ["layers.{i}.ffn.norm.weight", "model.layers.{i}.post_attention_layernorm.weight"],
  ["layers.{i}.ffn.gate.weight", "model.layers.{i}.mlp.gate_proj.weight"],
  ["layers.{i}.ffn.up.weight", "model.layers.{i}.mlp.up_proj.weight"],
  ["layers.{i}.ffn.down.weight", "model.layers.{i}.mlp.down_proj.weight"],
  ["final_norm.weight", "model.norm.weight"],
  ["head.weight", "lm_head.weight"],
];

const families = { llama } as const;
export type Family = keyof typeof families;

/** A tied model has no head of its own; some checkpoints repeat the embedding under this name. */
export const headNames = { ours: "head.weight", embedding: "embedding.weight" } as const;

/** Buffers that old checkpoints keep beside the parameters and that config.json already says: transformers skips them too. */
export const isComputed = (theirs: string): boolean => theirs.endsWith(".rotary_emb.inv_freq");

/** Their name of one of our parameters; undefined where the family has no such parameter. */
export function theirName(family: Family, ours: string): string | undefined {
  return translate(ours, families[family]);
}

/** Our name of one of their tensors; undefined where it is no parameter. */
export function ourName(family: Family, theirs: string): string | undefined {
  return translate(
    theirs,
    families[family].map(([ours, name]) => [name, ours] as const),
  );
}

function translate(name: string, table: NameTable): string | undefined {
  const layer = /\.(0|[1-9]\d*)\./.exec(name)?.[1];
  const pattern = layer === undefined ? name : name.replace(`.${layer}.`, ".{i}.");
  const found = table.find(([from]) => from === pattern)?.[1];
  return layer === undefined ? found : found?.replace("{i}", layer);
}
