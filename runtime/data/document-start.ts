// What a tokenizer.json puts before a text: the token that begins a document, where a model was trained with one.

interface Piece {
  readonly SpecialToken?: { readonly id?: unknown };
  readonly Sequence?: unknown;
}

/**
 * The ids that stand before a text, as `add_special_tokens` has them; none for a tokenizer that adds none.
 *
 * Source: the `TemplateProcessing` post-processor of the `tokenizers` library, alone or in a `Sequence`.
 */
export function documentStart(tokenizerJson: string): number[] {
  const template = templateOf((JSON.parse(tokenizerJson) as { post_processor?: unknown }).post_processor);
  const single = template?.single;
  if (!Array.isArray(single)) return [];
  const pieces = single as readonly Piece[];
  const end = pieces.findIndex((piece) => piece.Sequence !== undefined);
  return pieces.slice(0, Math.max(0, end)).flatMap((piece) => idsOf(template?.special_tokens, piece.SpecialToken?.id));
}

interface Template {
  readonly type?: unknown;
  readonly single?: unknown;
  readonly special_tokens?: unknown;
  readonly processors?: unknown;
}

function templateOf(processor: unknown): Template | undefined {
  if (typeof processor !== "object" || processor === null) return undefined;
  const { type, processors } = processor as Template;
  if (type === "TemplateProcessing") return processor;
  if (type !== "Sequence" || !Array.isArray(processors)) return undefined;
  return processors.map(templateOf).find((found) => found !== undefined);
}

function idsOf(specials: unknown, name: unknown): number[] {
  if (typeof specials !== "object" || specials === null || typeof name !== "string") return [];
  const ids = (specials as Record<string, { readonly ids?: unknown } | undefined>)[name]?.ids;
  return Array.isArray(ids) ? ids.filter((id) => Number.isSafeInteger(id)) : [];
}
