import { describe, expect, it } from "vitest";
import { addGrain, type Grain, parseFields } from "../../src/grain";

const GRAIN: Grain = {
  strength: 8,
  units: 4,
  fields: [Int8Array.of(1, 2, 3, 4), Int8Array.of(10, 20, 30, 40, 50, 60, 70, 80, -90)],
};

/** What the page adds at (x, y), by hand: 8 / 4 / sqrt(2) times the sum of both fields. */
function wanted(x: number, y: number): number {
  const [small, large] = GRAIN.fields;
  return Math.SQRT2 * (small[(y % 2) * 2 + (x % 2)] + large[(y % 3) * 3 + (x % 3)]);
}

describe("addGrain", () => {
  it("adds both fields at a pixel’s place in the photo, to all colours", () => {
    const [width, height, left, top] = [5, 4, 7, 2];
    const planes = new Float32Array(3 * width * height).fill(100);
    addGrain(planes, width, height, GRAIN, left, top);
    for (let colour = 0; colour < 3; colour++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const found = planes[colour * width * height + y * width + x];
          expect(found).toBeCloseTo(100 + wanted(left + x, top + y), 3);
        }
      }
    }
  });

  it("adds nothing without strength", () => {
    const planes = new Float32Array(3).fill(7);
    addGrain(planes, 1, 1, { ...GRAIN, strength: 0 });
    expect([...planes]).toEqual([7, 7, 7]);
  });
});

describe("parseFields", () => {
  it("reads signed bytes", () => {
    expect([...parseFields([btoa("\x01\xff\x80\x7f")])[0]]).toEqual([1, -1, -128, 127]);
  });

  it("refuses what is no square", () => {
    expect(() => parseFields([btoa("abc")])).toThrow();
    expect(() => parseFields([""])).toThrow();
  });
});
