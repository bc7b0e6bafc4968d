// The schema for editors: the keys of schema.ts as zod, and zod's JSON Schema of them. Reading a spec does not import
// this file: zod takes 40 ms, of 300 for a whole compile.

import { z } from "zod";
import { isOfKind } from "./kinds.ts";
import { specSchema } from "./schema.ts";
import {
  expressionPattern,
  fallbackText,
  identifierPattern,
  isRequired,
  type Key,
  type NumberShape,
  type SectionShape,
  type Shape,
} from "./shape.ts";
import { exampleOf, shapeWords } from "./words.ts";

/** The structure of a spec as zod: it accepts what the reader accepts before expressions are read. */
export const specDocument: z.ZodType = zodOf(specSchema);

/** The JSON Schema (draft 7) of a spec, as the text of `specs/mspec.schema.json`. */
export function emitJsonSchema(): string {
  const schema = z.toJSONSchema(specDocument, {
    target: "draft-7",
    io: "input",
    reused: "inline",
    override: ({ jsonSchema }) => simplify(jsonSchema),
  });
  return `${JSON.stringify({ ...schema, title: "mspec", description: "A model spec of mspec." }, null, 2)}\n`;
}

/** The values of a shape; `kind` is that of the block that it is a part of. */
function zodOf(shape: Shape, kind?: string): z.ZodType {
  switch (shape.kind) {
    case "section":
      return shape.kinds === undefined ? zodSection(shape, kind) : union(blockVariants(shape));
    case "whole":
    case "real":
      return z.union([zodNumber(shape), z.string().regex(expressionPattern)]);
    case "version":
      return z.literal(shape.version);
    case "flag":
      return z.boolean();
    case "choice":
      return shape.isFlagToo ? z.union([z.boolean(), z.enum(shape.words)]) : z.enum(shape.words);
    case "text":
      return shape.pattern === undefined ? z.string().min(1) : z.string().regex(shape.pattern);
    case "list":
      return zodList(zodOf(shape.of, kind), shape);
    case "map":
      return zodMap(shape);
    case "either":
      return union(shape.shapes.flatMap((branch) => variants(branch, kind)));
    case "formula":
    case "schedule":
      return z.union([z.number(), z.string().min(1)]);
    case "range":
      return z.union([z.number().multipleOf(1), z.string().min(1)]);
    default:
      return z.string().min(1);
  }
}

/** One of several shapes, and what an editor shows for it. */
interface Variant {
  readonly type: z.ZodType;
  readonly words: string;
}

function union(variants: readonly Variant[]): z.ZodType {
  return z.union(variants.map(({ type, words }) => type.meta({ description: words })));
}

function variants(branch: Shape, kind: string | undefined): Variant[] {
  if (branch.kind === "section" && branch.kinds !== undefined) return blockVariants(branch);
  const isBlocks = branch.kind === "list" && branch.of.kind === "section" && branch.of.kinds !== undefined;
  const merging =
    "A list whose entries merge in order: later ones win, keys that one leaves out stay, and another kind replaces.";
  return [{ type: zodOf(branch, kind), words: isBlocks ? merging : shapeWords(branch) }];
}

/** A block by its kind; also without one, where the kind may be left out because an entry before has it. */
function blockVariants(shape: SectionShape): Variant[] {
  const { kinds = [], keys, description = "A block" } = shape;
  const variants = kinds.map((kind) => ({ type: zodSection(shape, kind), words: `${description}, of kind ${kind}.` }));
  const tag = keys.get("kind");
  if (tag === undefined || isRequired(tag)) return variants;
  const others = new Map([...keys].filter(([name]) => name !== "kind"));
  return [...variants, { type: zodSection({ ...shape, keys: others }, undefined), words: `${description}.` }];
}

function zodSection({ keys, kinds }: SectionShape, kind: string | undefined): z.ZodType {
  const fields = [...keys].flatMap(([name, key]) => {
    if (!isOfKind(key, kind)) return [];
    const isTag = name === "kind" && kinds !== undefined && kind !== undefined;
    const field = isTag ? z.enum([kind]) : zodOf(key.shape, kind);
    // What tells variants apart is needed: without it none of them would be meant.
    const isNeeded = isRequired(key) || isTag;
    return [
      [name, (isNeeded ? field : field.optional()).meta({ ...describe(name, key), ...examplesOf(key) })] as const,
    ];
  });
  return z.strictObject(Object.fromEntries(fields));
}

function examplesOf({ shape }: Key) {
  const example = exampleOf(shape);
  return example === undefined ? {} : { examples: [example] };
}

/** What an editor shows for a key. */
function describe(name: string, key: Key) {
  const { description, aliases } = key;
  const text = fallbackText(key);
  const elsewhere = aliases.length === 0 ? [] : [`Elsewhere: ${aliases.join(", ")}.`];
  const sentences = [description, ...(text === undefined ? [] : [`Default: ${text}.`]), ...elsewhere];
  const markdown = [description, ...(text === undefined ? [] : [`Default: \`${text}\``]), ...elsewhere];
  return { title: name, description: sentences.join(" "), markdownDescription: markdown.join("\n\n") };
}

/** zod's own integers end at 2^53 - 1; `simplify` turns the multiple of one into an integer. */
function zodNumber({ kind, least, most, above, below }: NumberShape): z.ZodType {
  let number =
    kind === "whole"
      ? z
          .number()
          .multipleOf(1)
          .max(most ?? 2 ** 53)
      : z.number();
  if (least !== undefined) number = number.min(least);
  if (kind === "real" && most !== undefined) number = number.max(most);
  if (above !== undefined) number = number.gt(above);
  return below === undefined ? number : number.lt(below);
}

function zodList(item: z.ZodType, { least, most }: Shape & { kind: "list" }): z.ZodType {
  const list = z.array(item).min(least);
  return most === undefined ? list : list.max(most);
}

function zodMap({ keys, of, isSingle }: Shape & { kind: "map" }): z.ZodType {
  const map = z.record(keys === "name" ? z.string().regex(identifierPattern) : z.string(), zodOf(of));
  if (!isSingle) return map;
  return map.refine((value) => Object.keys(value).length === 1).meta({ minProperties: 1, maxProperties: 1 });
}

type JsonSchema = Parameters<NonNullable<Parameters<typeof z.toJSONSchema>[1]>["override"] & object>[0]["jsonSchema"];

/** Unions of a number and a text become one schema with two types, which editors show as one value. */
function simplify(schema: JsonSchema): void {
  if (schema.multipleOf === 1) {
    schema.type = "integer";
    delete schema.multipleOf;
  }
  const branches = schema.anyOf;
  if (branches?.length !== 2) return;
  const [number, text] = branches;
  if (typeof number !== "object" || typeof text !== "object" || text.type !== "string") return;
  simplify(number);
  if (number.type !== "number" && number.type !== "integer") return;
  delete schema.anyOf;
  Object.assign(schema, text, number, { type: [number.type, text.type] });
}
