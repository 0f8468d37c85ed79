// Sizes, work and times: the unit follows the magnitude, also after rounding up (never 1024.0 of a smaller unit).
import assert from "node:assert/strict";
import { showBytes, showFlops, showSeconds } from "../../src/base/units.ts";

Deno.test("sizes use the largest unit with a value of at least 1, also after rounding", () => {
  const sizes = [0, 1, 1023, 1024, 2 ** 20 - 1, 12.3 * 2 ** 20, 1.5 * 2 ** 30, 3 * 2 ** 40, 2 ** 80];
  assert.deepEqual(
    sizes.map(showBytes),
    "0 bytes|1 bytes|1023 bytes|1.0 KiB|1.0 MiB|12.3 MiB|1.5 GiB|3.0 TiB|1048576.0 EiB".split("|"),
  );
});

Deno.test("work is shown in MFLOP, GFLOP or TFLOP and times in ms to days, by magnitude", () => {
  assert.deepEqual(
    [0, 999, 2.14e8, 9.999e8, 2.14e9, 1.5e12, 9.3e20].map(showFlops),
    "0 FLOP|999 FLOP|214 MFLOP|1.00 GFLOP|2.14 GFLOP|1.50 TFLOP|930 EFLOP".split("|"),
  );
  assert.deepEqual(
    [0, 0.0123, 4, 59, 119, 126, 7300, 86400, 3e5, 1e9].map(showSeconds),
    "0 s|0.0 s|4.0 s|59 s|119 s|2.1 min|2.0 h|24 h|3.5 days|11574 days".split("|"),
  );
});
