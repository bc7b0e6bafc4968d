// Rounding to bf16 against its definition: the nearest multiple of the spacing at a number's size, the even one on a tie.

import { expect, test } from "vitest";
import { rounders } from "../../compiler/graph/rounding.ts";
import { generator } from "../ops/case-parts.ts";

/** 8 bits of precision down to 2^-126, equal steps below; half a step beyond the greatest finite number is infinity. */
function nearest(value: number): number {
  const exponent = value === 0 ? -126 : Math.max(-126, Math.floor(Math.log2(Math.abs(value))));
  const step = 2 ** (exponent - 7);
  const [below, above] = [Math.floor(value / step), Math.ceil(value / step)];
  const [down, up] = [value / step - below, above - value / step];
  const chosen = down < up ? below : up < down ? above : below % 2 === 0 ? below : above;
  const rounded = chosen * step;
  return Math.abs(rounded) >= 2 ** 128 ? Math.sign(rounded) * Number.POSITIVE_INFINITY : rounded;
}

test("every float is rounded to the nearest bf16, to the even one on a tie", () => {
  const bits = new DataView(new ArrayBuffer(4));
  const random = generator(3);
  let ties = 0;
  for (let upper = 0; upper < 0x10000; upper++) {
    for (const lower of [0, 1, 0x7fff, 0x8000, 0x8001, Math.floor(((random() + 1) / 2) * 0x10000)]) {
      bits.setUint32(0, upper * 0x10000 + lower);
      const value = bits.getFloat32(0);
      if (!Number.isFinite(value)) continue;
      if (rounders.bf16(value) !== nearest(value)) {
        expect(rounders.bf16(value), `bits ${upper.toString(16)} ${lower.toString(16)}`).toBe(nearest(value));
      }
      if (lower === 0x8000) ties++;
    }
  }
  expect(ties).toBeGreaterThanOrEqual(2 * 0x7f80);
});

test("what is no number stays none, infinities and the sign of zero stay, and the greatest float overflows", () => {
  expect(rounders.bf16(Number.NaN)).toBeNaN();
  expect(rounders.bf16(Number.NEGATIVE_INFINITY)).toBe(Number.NEGATIVE_INFINITY);
  expect(Object.is(rounders.bf16(-0), -0)).toBe(true);
  expect(rounders.bf16(3.4028234663852886e38)).toBe(Number.POSITIVE_INFINITY);
  expect(rounders.bf16(3.3895313892515355e38)).toBe(3.3895313892515355e38);
});
