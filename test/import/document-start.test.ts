// Which tokens stand before a text, by the post-processor of a tokenizer.json.

import { expect, test } from "vitest";
import { documentStart } from "../../runtime/data/document-start.ts";

const begin = { SpecialToken: { id: "<s>", type_id: 0 } };
const text = { Sequence: { id: "A", type_id: 0 } };
const template = (single: readonly unknown[]) => ({
  type: "TemplateProcessing",
  single,
  special_tokens: {
    "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] },
    "</s>": { id: "</s>", ids: [2], tokens: ["</s>"] },
  },
});

test.each<[string, unknown, readonly number[]]>([
  ["none", null, []],
  ["one that adds nothing", { type: "ByteLevel", trim_offsets: false }, []],
  ["a template", template([begin, text]), [1]],
  ["a template that only ends a text", template([text, { SpecialToken: { id: "</s>" } }]), []],
  ["a template without a text", template([begin]), []],
  [
    "a sequence, as Llama 3 has",
    { type: "Sequence", processors: [{ type: "ByteLevel" }, template([begin, text])] },
    [1],
  ],
  ["a token that is not listed", template([{ SpecialToken: { id: "<bos>" } }, text]), []],
  ["what is no processor", { type: "Sequence", processors: [7, null] }, []],
])("%s", (_title, processor, expected) => {
  expect(documentStart(JSON.stringify({ post_processor: processor }))).toEqual(expected);
});
