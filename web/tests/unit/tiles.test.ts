import { expect, test } from "vitest";
import { plan } from "../../src/tiles";

const CASES = [
  { width: 4000, height: 3000, reach: 172, multiple: 8, most: 2_500_000 },
  { width: 3999, height: 3001, reach: 172, multiple: 8, most: 600_000 },
  { width: 9001, height: 517, reach: 44, multiple: 2, most: 250_000 },
  { width: 333, height: 4001, reach: 30, multiple: 4, most: 90_000 },
];

test.each(CASES)("tiles of $width x $height", ({ width, height, reach, multiple, most }) => {
  const tiles = plan(width, height, reach, multiple, most);
  const covered = new Uint8Array(width * height);
  for (const { window, kept } of tiles) {
    expect(window.width * window.height).toBeLessThanOrEqual(most);
    // One shape for all: a runtime prepares itself for each new one.
    expect([window.width, window.height]).toEqual([tiles[0].window.width, tiles[0].window.height]);
    expect([window.left % multiple, window.top % multiple]).toEqual([0, 0]);
    for (const [begin, length, from, to, size] of [
      [window.left, window.width, kept.left, kept.left + kept.width, width],
      [window.top, window.height, kept.top, kept.top + kept.height, height],
    ]) {
      expect(begin).toBeGreaterThanOrEqual(0);
      expect(begin + length).toBeLessThanOrEqual(size);
      // Only the picture's own edges are nearer than the reach.
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
  expect(plan(640, 427, 172, 8, 2_500_000)).toEqual([{ window: box, kept: box }]);
});

test("overlaps larger than a tile are an error", () => {
  expect(() => plan(4000, 3000, 400, 8, 200_000)).toThrow(RangeError);
});
