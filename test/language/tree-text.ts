// Syntax trees as short text, for tests that are read as input and expected tree.

import type {
  Expression,
  FormulaSyntax,
  RangeSyntax,
  ScheduleSyntax,
  SelectorSyntax,
} from "../../compiler/formula/syntax.ts";

/** `(+ a (* b 2))`, `(call max x 0)`. */
export function expressionText(tree: Expression): string {
  switch (tree.kind) {
    case "number":
      return String(tree.value);
    case "name":
      return tree.name;
    case "unary":
      return `(${tree.operator} ${expressionText(tree.operand)})`;
    case "binary":
      return `(${tree.operator} ${expressionText(tree.left)} ${expressionText(tree.right)})`;
    case "call":
      return `(call ${[tree.callee, ...tree.arguments.map(expressionText)].join(" ")})`;
  }
}

export function formulaText(tree: FormulaSyntax): string {
  const lets = tree.lets.map(({ name, value }) => `let ${name} = ${expressionText(value)};`);
  const outputs = tree.outputs.map(
    ({ name, value }) => `${name === undefined ? "" : `${name}: `}${expressionText(value)}`,
  );
  return [...lets, outputs.join(", ")].join(" ");
}

/** Ends of each part, `-` where one is open. */
export function rangeText(tree: RangeSyntax): string {
  return tree.parts.map(({ from, to, by }) => `${from ?? "open"}..${to ?? "open"}/${by}`).join(" ");
}

export function selectorText(tree: SelectorSyntax): string {
  const paths = tree.alternatives.map(({ steps }) =>
    steps.map(({ names, deep, range }) => {
      const name = names?.join("|") ?? (deep ? "deep" : "any");
      return range === undefined ? name : `${name}[${rangeText(range)}]`;
    }),
  );
  return paths.map((steps) => steps.join(" / ")).join(" or ");
}

export function scheduleText(tree: ScheduleSyntax): string {
  return tree.pieces
    .map((piece) => {
      const extent =
        piece.extent &&
        `${piece.extent.absolute ? "until" : "for"} ${expressionText(piece.extent.amount)} ${piece.extent.unit}`;
      if (piece.kind === "value") return [expressionText(piece.value), extent].filter(Boolean).join(" ");
      const from = piece.kind === "hold" ? undefined : piece.from && `from ${expressionText(piece.from)}`;
      const to = piece.kind === "hold" ? undefined : `to ${expressionText(piece.to)}`;
      return [piece.kind, extent, from, to].filter(Boolean).join(" ");
    })
    .join("; ");
}
