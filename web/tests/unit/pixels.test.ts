import { expect, test } from "vitest";
import {
  between,
  cut,
  fromPlanes,
  grown,
  measuredSize,
  mixedRows,
  paste,
  shrink,
  sizeWithin,
  toPlanes,
} from "../../src/pixels";
import type { Picture } from "../../src/protocol";

function picture(width: number, height: number, value: (x: number, y: number) => number): Picture {
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++)
      rgb.fill(value(x, y), (y * width + x) * 3, (y * width + x) * 3 + 3);
  }
  return { width, height, rgb };
}

const red = ({ rgb }: { rgb: Uint8Array }) => Array.from(rgb).filter((_, i) => i % 3 === 0);

test("shrinking takes the mean of the area, in parts where it must", () => {
  const photo = picture(3, 2, (x, y) => 30 * x + 60 * y);
  expect(red(shrink(photo, 1, 1))).toEqual([60]);
  // A new column covers 1.5 old ones: (0 + 30 / 2) / 1.5 and (30 / 2 + 60) / 1.5. The mean of two
  // rows adds 60 / 2.
  expect(red(shrink(photo, 2, 1))).toEqual([40, 80]);
  expect(shrink(photo, 3, 2)).toBe(photo);
});

test("a size within so many pixels keeps proportions and is never larger", () => {
  expect(sizeWithin(4000, 3000, 1_500_000)).toEqual([1414, 1061]);
  expect(sizeWithin(40, 30, 1_500_000)).toEqual([40, 30]);
  expect(sizeWithin(90_000, 1, 1000)).toEqual([9487, 1]);
});

test("statistics are measured on the photo, or on a copy of a large one", () => {
  const model = { whole_pixels: 320_000, measured_pixels: 200_000, multiple: 8 };
  expect(measuredSize(641, 499, model)).toEqual([641, 499]);
  expect(measuredSize(640, 500, model)).toEqual([640, 500]);
  expect(measuredSize(641, 500, model)).toEqual([512, 400]);
  expect(measuredSize(640, 500, model, 100_000)).toEqual([360, 280]);
  expect(measuredSize(300, 300, model, 100_000)).toEqual([300, 300]);
});

test("a part is cut out and pasted back", () => {
  const photo = picture(5, 4, (x, y) => 10 * y + x);
  const box = { left: 1, top: 2, width: 3, height: 2 };
  const part = cut(photo, box);
  expect(red({ rgb: part })).toEqual([21, 22, 23, 31, 32, 33]);
  const empty = picture(5, 4, () => 0);
  paste(empty, box, part);
  expect(red(empty).slice(10, 15)).toEqual([0, 21, 22, 23, 0]);
});

test("a small picture grows by reflections of itself", () => {
  expect(
    red(
      grown(
        picture(3, 1, (x) => x),
        6,
      ),
    ).slice(0, 6),
  ).toEqual([0, 1, 2, 1, 0, 1]);
  expect(
    red(
      grown(
        picture(1, 1, () => 7),
        3,
      ),
    ),
  ).toEqual(Array(9).fill(7));
});

test("strength goes through the stages", () => {
  expect(between(0, 4)).toEqual({ lower: 0, upper: 1, share: 0 });
  expect(between(0.375, 4)).toEqual({ lower: 1, upper: 2, share: 0.5 });
  expect(between(1, 4)).toEqual({ lower: 3, upper: 4, share: 1 });
  expect(between(0.7, 0)).toEqual({ lower: 0, upper: 0, share: 0 });
});

test("a mixture is rounded and opaque", () => {
  const rows = mixedRows(
    picture(1, 2, () => 10),
    picture(1, 2, () => 13),
    0.5,
    1,
    1,
  );
  expect(Array.from(rows)).toEqual([12, 12, 12, 255]);
});

test("planes and back, clipped and rounded", () => {
  const rgb = Uint8Array.from([1, 2, 3, 4, 5, 6]);
  expect(Array.from(toPlanes(rgb))).toEqual([1, 4, 2, 5, 3, 6]);
  expect(fromPlanes(toPlanes(rgb))).toEqual(rgb);
  expect(Array.from(fromPlanes(Float32Array.from([-3, 0.6, 300])))).toEqual([0, 1, 255]);
});
