import { expect, test } from "vitest";
import { bestTiling } from "../../src/tiles";

const CASES = [
  { width: 4000, height: 3000, reach: 172, multiple: 8, most: 2_500_000 },
  { width: 3999, height: 3001, reach: 172, multiple: 8, most: 600_000 },
  { width: 9001, height: 517, reach: 44, multiple: 2, most: 250_000 },
  { width: 333, height: 4001, reach: 30, multiple: 4, most: 90_000 },
];

test.each(CASES)("tiles of $width x $height", ({ width, height, reach, multiple, most }) => {
  const tiles = bestTiling(width, height, reach, multiple, most);
  const covered = new Uint8Array(width * height);
  const [{ computed: first }] = tiles;
  for (const { computed, kept } of tiles) {
    expect(computed.width * computed.height).toBeLessThanOrEqual(most);
    // All tiles have one size, since a runtime prepares for each new one.
    expect([computed.width, computed.height]).toEqual([first.width, first.height]);
    expect([computed.left % multiple, computed.top % multiple]).toEqual([0, 0]);
    for (const [begin, length, from, to, size] of [
      [computed.left, computed.width, kept.left, kept.left + kept.width, width],
      [computed.top, computed.height, kept.top, kept.top + kept.height, height],
    ]) {
      expect(begin).toBeGreaterThanOrEqual(0);
      expect(begin + length).toBeLessThanOrEqual(size);
      // What is kept may be nearer than the reach only to the picture's own edges.
      if (from > 0) expect(from - begin).toBeGreaterThanOrEqual(reach);
      if (to < size) expect(begin + length - to).toBeGreaterThanOrEqual(reach);
    }
    for (let y = kept.top; y < kept.top + kept.height; y++) {
      for (let x = kept.left; x < kept.left + kept.width; x++) covered[y * width + x] += 1;
    }
  }
  expect(covered.every((times) => times === 1)).toBe(true);
});

test("a picture that fits is one tile", () => {
  const box = { left: 0, top: 0, width: 640, height: 427 };
  expect(bestTiling(640, 427, 172, 8, 2_500_000)).toEqual([{ computed: box, kept: box }]);
});

test("overlaps larger than a tile are an error", () => {
  expect(() => bestTiling(4000, 3000, 400, 8, 200_000)).toThrow(RangeError);
});
