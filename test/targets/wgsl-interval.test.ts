// Masks of blocks as WGSL spells them, in 32-bit integers: never decided otherwise than in f64, and decided where it counts.

import fc from "fast-check";
import { expect, test } from "vitest";
import { classifyBlock, intervalProgram } from "../../compiler/formula/interval.ts";
import { type SpelledInterval, spellInterval } from "../../compiler/targets/wgsl/interval.ts";
import { anyMask, exactMask } from "../formula/any-mask.ts";
import { maskFormula } from "../ops/attention-cases.ts";

/** As the cases' masks are told: see attention-cases.ts. */
const most: Readonly<Record<string, number>> = { q: 199, k: 199, head: 15 };

const spelled = (mask: Parameters<typeof intervalProgram>[0]): SpelledInterval =>
  spellInterval(intervalProgram(mask), {
    number: (name) => ({ text: name, low: 0, high: most[name.slice(0, name.lastIndexOf("_"))] }),
    flag: (name) => name,
  });

const mostInteger = 2 ** 31 - 1;

/** What the text says of a block, read as JavaScript; its numbers must be whole ones of 32 bits. */
function read({ lines, may, must }: SpelledInterval, args: Readonly<Record<string, number | boolean>>): 0 | 1 | 2 {
  const whole = (value: number): number => {
    expect(Number.isInteger(value) && Math.abs(value) <= mostInteger, lines.join(" ")).toBe(true);
    return value;
  };
  const checked = lines.map((line) => line.replace(/= (.*);$/, "= whole($1);"));
  const body = `${checked.join("\n")}\nreturn ${must} ? 2 : ${may} ? 1 : 0;`;
  const names = ["whole", "min", "max", ...Object.keys(args)];
  return new Function(...names, body)(whole, Math.min, Math.max, ...Object.values(args)) as 0 | 1 | 2;
}

const range = (end: number) => fc.tuple(fc.integer({ min: 0, max: end }), fc.integer({ min: 0, max: 9 }));

test("whatever is decided is what the f64 program decides, and no integer overflows", () => {
  let decided = 0;
  fc.assert(
    fc.property(anyMask, range(190), range(190), range(6), fc.boolean(), (text, q, k, head, must) => {
      const mask = exactMask(`(${text}) || q < -1`);
      if (mask === undefined) return;
      const numbers = {
        ...{ q_low: q[0], q_high: q[0] + q[1], k_low: k[0], k_high: k[0] + k[1] },
        ...{ head_low: head[0], head_high: head[0] + head[1] },
      };
      const got = read(spelled(mask), { ...numbers, same_document_may: true, same_document_must: must });
      const flags = { same_document_may: 1, same_document_must: must ? 1 : 0 };
      if (got !== 1) decided++;
      if (got !== 1) expect(got, text).toBe(classifyBlock(intervalProgram(mask), { ...numbers, ...flags }));
    }),
    { numRuns: 2000 },
  );
  expect(decided).toBeGreaterThan(500);
});

test.each([
  ["k <= q", "k_low <= q_high", "k_high <= q_low"],
  ["k <= q && same_document", "k_low <= q_high && same_document_may", "k_high <= q_low && same_document_must"],
  ["q < 2.5", "q_low < 3", "q_high < 3"],
  ["k < 4000000000", "true", "true"],
  ["sqrt(q) < 3 && k <= q", "k_low <= q_high", "false"],
])("%s may be seen where %s, and is where %s", (text, may, must) => {
  const { may: gotMay, must: gotMust } = spelled(maskFormula(text));
  expect([gotMay, gotMust]).toEqual([may, must]);
});
