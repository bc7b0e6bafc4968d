// Sentences about tiles of products, by target.

import type { Diagnostic } from "../diagnostic.ts";
import type { Place } from "../text.ts";
import { either, quoted } from "./words.ts";

type Extents = Readonly<Record<"rows" | "columns" | "depth", number>>;

const fault = (code: string, claim: string, place: Place, more: Partial<Diagnostic> = {}): Diagnostic => ({
  code: `tile/${code}`,
  severity: "error",
  claim,
  place,
  ...more,
});

export function extents(target: string, found: number, place: Place): Diagnostic {
  return fault("extents", `a tile of ${target} has three extents, not ${found}`, place, {
    help: "write rows x columns x depth, as in `64x64x16`",
  });
}

export function noOption(target: string, name: string, place: Place): Diagnostic {
  return fault("option", `tiles of ${target} have no option ${quoted(name)}`, place);
}

export function tooLarge(extent: number, most: number, place: Place): Diagnostic {
  return fault("too-large", `an extent of a tile is at most ${most}, not ${extent}`, place);
}

interface Uneven {
  readonly target: "wasm" | "wgsl";
  readonly extent: number;
  readonly step: number;
  readonly axis: keyof Extents;
}

/** Why extents go in steps. */
const reasons: Readonly<Record<Uneven["target"], (step: number, axis: string) => string>> = {
  wasm: (step, axis) => `registers hold ${step} ${axis}, and a tile is whole ones`,
  wgsl: (step, axis) =>
    axis === "depth"
      ? `threads move blocks of ${step} by ${step}, and a tile is whole ones`
      : `below ${step} ${axis}, and between its multiples, threads of a workgroup would have nothing to move`,
};

export function uneven({ target, extent, step, axis }: Uneven, place: Place): Diagnostic {
  const below = extent - (extent % step);
  const fitting = [below, below + step].filter((value) => value > 0);
  const what = axis === "depth" ? "depth" : extent === 1 ? axis.slice(0, -1) : axis;
  const claim = axis === "depth" ? `a tile of depth ${extent}` : `a tile of ${extent} ${what}`;
  return fault("uneven", `${claim}: ${extent} is no multiple of ${step}`, place, {
    label: reasons[target](step, axis),
    help: `write ${either(fitting.map(String))}`,
  });
}

export function tooManyThreads({ rows, columns }: Extents, threads: number, most: number, place: Place): Diagnostic {
  return fault("too-many-threads", `a tile of ${rows} rows by ${columns} columns has ${threads} threads`, place, {
    label: `${rows} · ${columns} / (8 · 8) = ${threads}, and a workgroup has ${most} at most`,
    help: `write rows and columns of a product of at most ${64 * most}`,
  });
}

export function tooDeep({ rows, columns, depth }: Extents, deepest: number, place: Place): Diagnostic {
  return fault(
    "too-deep",
    `a tile of ${rows} rows by ${columns} columns is at most ${deepest} deep, not ${depth}`,
    place,
    {
      label: "both operands' parts are to fit into 16 KiB, with no more than one block of 4 by 4 for a thread to move",
      help: `write \`${rows}x${columns}x${deepest}\``,
    },
  );
}
