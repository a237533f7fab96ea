import { expect, test } from "vitest";
import { inWords, Pace } from "../../src/pace";

test("the remaining time is known after the first tile, and comes from tiles alone", () => {
  const copies = [100, 200].map((area) => ({ area, isTile: false }));
  const tiles = [1000, 1000, 500].map((area) => ({ area, isTile: true }));
  const pace = new Pace([...copies, ...tiles]);
  expect(pace.next()).toEqual({ done: 0, next: 100 / 2800, seconds: 0, remaining: undefined });
  pace.took(1);
  expect(pace.next()).toMatchObject({ seconds: 2, remaining: undefined });
  pace.took(2);
  expect(pace.next()).toMatchObject({ seconds: 10, remaining: undefined });
  pace.took(25); // two and a half times as long per pixel as the copies
  expect(pace.next()).toMatchObject({ done: 1300 / 2800, seconds: 25, remaining: 37.5 });
  pace.took(35);
  expect(pace.next()).toMatchObject({ seconds: 15, remaining: 15 });
});

test.each([
  [2, "a few seconds left"],
  [12, "about 10 seconds left"],
  [63, "about 65 seconds left"],
  [100, "about 2 minutes left"],
  [601, "about 10 minutes left"],
])("%d seconds in words", (seconds, words) => {
  expect(inWords(seconds)).toBe(words);
});
