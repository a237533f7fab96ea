import { expect, test } from "vitest";
import { Paintings } from "../../src/paintings";

function painting(bytes: number) {
  return { stages: [{ width: 1, height: 1, rgb: new Uint8Array(bytes) }], seconds: 1 };
}

test("paintings are kept until memory is full, those used last the longest", () => {
  const paintings = new Paintings(100);
  const [wave, scream, night] = [painting(40), painting(40), painting(40)];
  paintings.set("wave", wave);
  paintings.set("scream", scream);
  expect(paintings.get("wave")).toBe(wave);
  paintings.set("night", night);
  expect(paintings.get("scream")).toBeUndefined();
  expect([paintings.get("wave"), paintings.get("night")]).toEqual([wave, night]);
});

test("one that is too large is not kept, and drops no other", () => {
  const paintings = new Paintings(100);
  const wave = painting(100);
  paintings.set("wave", wave);
  paintings.set("large", painting(101));
  expect(paintings.get("large")).toBeUndefined();
  expect(paintings.get("wave")).toBe(wave);
});
