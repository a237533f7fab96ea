import { expect, test } from "vitest";
import type { Model, Style } from "../../src/manifest";
import { choiceOf } from "../../src/mixture";
import { STROKES } from "./strokes";

const MODEL: Model = {
  file: "masters.onnx",
  sha256: "0123456789abcdef",
  stages: 4,
  statistics: 200,
  reach: 100,
  multiple: 8,
  minimum: 17,
  whole_pixels: 320_000,
  measured_pixels: 200_000,
  grain: { strength: 0, units: 32, fields: [] },
  strokes: STROKES,
  styles: 3,
};

function style(name: string, title: string, index: number): Style {
  return { name, title, licence: "", thumbnail: "", model: MODEL, index };
}

const WAVE = style("wave", "Wave", 2);
const SCREAM = style("scream", "The Scream", 0);

test("one style has all the weight", () => {
  const alone = { model: MODEL, mixture: [0, 0, 1], title: "Wave", name: "wave" };
  expect(choiceOf(WAVE)).toEqual(alone);
  expect(choiceOf(WAVE, SCREAM, 0)).toEqual(alone);
  expect(choiceOf(WAVE, undefined, 0.5)).toEqual(alone);
  expect(choiceOf(SCREAM, WAVE, 1)).toEqual(alone);
});

test("two styles share it, and the title says how", () => {
  const { mixture, title, name } = choiceOf(WAVE, SCREAM, 0.3);
  expect(mixture[0]).toBeCloseTo(0.3);
  expect(mixture[1]).toBe(0);
  expect(mixture[2]).toBeCloseTo(0.7);
  expect(title).toBe("70 % Wave, 30 % The Scream");
  expect(name).toBe("wave-70-scream-30");
});
