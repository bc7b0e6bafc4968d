// How numbers of each storage format are read and written, four at a time or one. Arithmetic is in f32 always: a bf16 is
// the upper half of one, so reading is a shift, and writing rounds to nearest with ties to even.

import { get, i32, offsetText, type WatCode } from "./code.ts";

/** Formats that kernels compute with. */
export type Real = "f32" | "bf16";

/** Four elements that lie side by side. */
export const loadFour = (format: Real, address: string, offset = 0): string =>
  format === "f32"
    ? `(v128.load${offsetText(offset)} ${address})`
    : `(i32x4.shl (v128.load16x4_u${offsetText(offset)} ${address}) (i32.const 16))`;

/** Every other one of eight elements, from the first on. */
export function loadEven(format: Real, address: string, offset = 0): string {
  // The lower half of every word is the element wanted, its upper half the one to skip.
  if (format === "bf16") return `(i32x4.shl (v128.load${offsetText(offset)} ${address}) (i32.const 16))`;
  const even = "0 1 2 3 8 9 10 11 16 17 18 19 24 25 26 27";
  return `(i8x16.shuffle ${even} (v128.load${offsetText(offset)} ${address}) (v128.load${offsetText(offset + 16)} ${address}))`;
}

/** One element in all four lanes. */
export const loadSplat = (format: Real, address: string, offset = 0): string =>
  format === "f32"
    ? `(v128.load32_splat${offsetText(offset)} ${address})`
    : `(i32x4.shl (v128.load16_splat${offsetText(offset)} ${address}) (i32.const 16))`;

const splat = (bits: number): string => `(v128.const i32x4 ${bits} ${bits} ${bits} ${bits})`;

/** The constants of rounding, as text or as locals that hold them. */
interface RoundingConstants {
  readonly below: string;
  readonly one: string;
  readonly quiet: string;
}

const literals: RoundingConstants = { below: splat(0x7fff), one: splat(1), quiet: splat(0x400000) };

/** What rounds the f32s of a local: their upper halves are the bf16s afterwards. A NaN stays one, and quiet. */
function rounding(local: string, { below, one, quiet }: RoundingConstants): string {
  const bits = get(local);
  const nearest = `(i32x4.add (i32x4.add ${bits} ${below}) (v128.and (i32x4.shr_u ${bits} (i32.const 16)) ${one}))`;
  return `(v128.bitselect (v128.or ${bits} ${quiet}) ${nearest} (f32x4.ne ${bits} ${bits}))`;
}

const upperHalves = "2 3 6 7 10 11 14 15 2 3 6 7 10 11 14 15";

/** Statements that store four f32s side by side; `local` is theirs to use. */
export function storeFour(format: Real, address: string, value: string, local: string, offset = 0): string[] {
  if (format === "f32") return [`(v128.store${offsetText(offset)} ${address} ${value})`];
  const rounded = get(local);
  return [
    `(local.set $${local} ${value})`,
    `(local.set $${local} ${rounding(local, literals)})`,
    `(v128.store64_lane${offsetText(offset)} 0 ${address} (i8x16.shuffle ${upperHalves} ${rounded} ${rounded}))`,
  ];
}

/** Puts statements that store the first `lanes` of four f32s, each `step` elements behind the one before. */
export function putLanes(
  code: WatCode,
  format: Real,
  address: string,
  value: string,
  { offset, lanes, step }: { readonly offset: number; readonly lanes: number; readonly step: number },
): void {
  if (format === "f32" && lanes === 4 && step === 1) {
    code.put(`(v128.store${offsetText(offset)} ${address} ${value})`);
    return;
  }
  const local = code.shared("stored.", "v128");
  code.set(local, value);
  if (format === "f32") {
    for (let lane = 0; lane < lanes; lane++) {
      code.put(`(v128.store32_lane offset=${offset + 4 * step * lane} ${lane} ${address} ${get(local)})`);
    }
    return;
  }
  const constants = { below: code.integer(0x7fff), one: code.integer(1), quiet: code.integer(0x400000) };
  code.set(local, rounding(local, constants));
  if (lanes === 4 && step === 1) {
    const shuffled = `(i8x16.shuffle ${upperHalves} ${get(local)} ${get(local)})`;
    code.put(`(v128.store64_lane${offsetText(offset)} 0 ${address} ${shuffled})`);
    return;
  }
  for (let lane = 0; lane < lanes; lane++) {
    code.put(`(v128.store16_lane offset=${offset + 2 * step * lane} ${2 * lane + 1} ${address} ${get(local)})`);
  }
}

/** Bytes into a row of elements, where `$lane` counts those of a row of f32. */
export function laneBytes(format: Real, step: number): string {
  const lane = "(local.get $lane)";
  if (format === "f32") return step === 2 ? `(i32.shl ${lane} ${i32(1)})` : lane;
  return step === 2 ? lane : `(i32.shr_u ${lane} ${i32(1)})`;
}
