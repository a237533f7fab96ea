import { expect, test } from "vitest";
import { coatSizes, mixed, Underpainting } from "../../src/coats";
import { cut } from "../../src/pixels";
import type { Picture } from "../../src/protocol";
import { STROKES } from "./strokes";

test("coats lead from a copy to the size of the picture", () => {
  expect(coatSizes(700, 460, STROKES)).toEqual([[700, 460]]);
  expect(coatSizes(1, 1, STROKES)).toEqual([[1, 1]]);
  expect(coatSizes(2000, 1280, STROKES)).toEqual([
    [1000, 640],
    [2000, 1280],
  ]);
  expect(coatSizes(2560, 4000, STROKES)).toEqual([
    [640, 1000],
    [1280, 2000],
    [2560, 4000],
  ]);
});

function noise(width: number, height: number, seed: number): Picture {
  const rgb = Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => ((i + seed) * (i + 7) * 31) % 251,
  );
  return { width, height, rgb };
}

function constant(width: number, height: number, level: number): Picture {
  return { width, height, rgb: new Uint8Array(width * height * 3).fill(level) };
}

test("an underpainting has some of the detail that the copy lacks", () => {
  const [painting, copy] = [constant(3, 2, 100), constant(3, 2, 60)];
  const under = new Underpainting(painting, copy, constant(6, 5, 80), 0.75);
  expect(under.whole()).toEqual(constant(6, 5, 115));
  const white = new Underpainting(constant(3, 2, 250), constant(3, 2, 0), constant(6, 5, 90), 0.75);
  expect(white.whole()).toEqual(constant(6, 5, 255));
});

test("parts of an underpainting are those of the whole", () => {
  const under = new Underpainting(noise(9, 7, 1), noise(9, 7, 2), noise(21, 16, 3), 0.75);
  const box = { left: 5, top: 2, width: 9, height: 11 };
  expect(under.part(box)).toEqual(cut(under.whole(), box));
});

test("a picture of the same size is enlarged to itself", () => {
  const painting = noise(6, 5, 1);
  expect(new Underpainting(painting, noise(6, 5, 2), noise(6, 5, 2), 0.75).whole()).toEqual(
    painting,
  );
});

test("two pictures are mixed by their share", () => {
  expect(mixed(Uint8Array.of(0, 100), Uint8Array.of(10, 200), 0.6)).toEqual(Uint8Array.of(6, 160));
});
