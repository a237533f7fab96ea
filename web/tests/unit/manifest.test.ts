import { expect, test } from "vitest";
import { parseManifest } from "../../src/manifest";
import { STROKES } from "./strokes";

const WAVE = {
  name: "wave",
  title: "The Great Wave",
  licence: "Apache-2.0",
  thumbnail: "data:image/jpeg;base64,AAAA",
};
const SCREAM = { name: "scream", title: "The Scream", licence: "Apache-2.0", thumbnail: "" };
const MODEL = {
  file: "masters.onnx",
  sha256: "0123456789abcdef".repeat(4),
  stages: 4,
  statistics: 200,
  reach: 100,
  multiple: 8,
  minimum: 17,
  whole_pixels: 320_000,
  measured_pixels: 200_000,
  grain: 6,
  styles: [WAVE],
};
const GRAIN = { units: 32, fields: ["AAECAw=="] };
const PAGE = "https://example.org/paint/";

test("addresses are those of the page's folder, a model's with its checksum", () => {
  const [style] = parseManifest(
    { format: 5, grain: GRAIN, strokes: STROKES, models: [MODEL] },
    PAGE,
  );
  expect(style.model.file).toBe(`${PAGE}models/masters.onnx?v=0123456789ab`);
  expect(style.thumbnail).toBe(WAVE.thumbnail);
  expect(style.model.grain).toEqual({ strength: 6, units: 32, fields: [Int8Array.of(0, 1, 2, 3)] });
});

test("styles of one model share it, and have places in its mixture", () => {
  const models = [{ ...MODEL, styles: [WAVE, SCREAM] }, MODEL];
  const [wave, scream, other] = parseManifest(
    { format: 5, grain: GRAIN, strokes: STROKES, models },
    PAGE,
  );
  expect(scream.model).toBe(wave.model);
  expect(other.model).not.toBe(wave.model);
  expect([wave, scream, other].map(({ index, model }) => [index, model.styles])).toEqual([
    [0, 2],
    [1, 2],
    [0, 1],
  ]);
  expect(scream.thumbnail).toBe("");
});

test.each([
  [null, /not of this page’s format/],
  [{ format: 1, styles: [WAVE] }, /not of this page’s format/],
  [{ format: 4, models: [MODEL] }, /not of this page’s format/],
  [{ format: 5, models: [MODEL] }, /lacks its grain/],
  [{ format: 5, grain: { units: 32, fields: ["AAEC"] }, models: [MODEL] }, /lacks its grain/],
  [{ format: 5, grain: GRAIN, models: [MODEL] }, /lacks its strokes/],
  [
    { format: 5, grain: GRAIN, strokes: { ...STROKES, most_enlarged: 1 }, models: [MODEL] },
    /lacks its strokes/,
  ],
  [{ format: 5, grain: GRAIN, strokes: STROKES, models: [] }, /no style/],
  [
    { format: 5, grain: GRAIN, strokes: STROKES, models: [{ ...MODEL, reach: "far" }] },
    /masters.*reach/,
  ],
  [
    { format: 5, grain: GRAIN, strokes: STROKES, models: [{ ...MODEL, file: undefined }] },
    /its file/,
  ],
  [
    { format: 5, grain: GRAIN, strokes: STROKES, models: [{ ...MODEL, sha256: "0123" }] },
    /masters.*its checksum/,
  ],
  [
    {
      format: 5,
      grain: GRAIN,
      strokes: STROKES,
      models: [{ ...MODEL, file: "https://evil.example/a.onnx" }],
    },
    /not in the folder/,
  ],
  [
    {
      format: 5,
      grain: GRAIN,
      strokes: STROKES,
      models: [{ ...MODEL, file: "//evil.example/a.onnx" }],
    },
    /not in the folder/,
  ],
  [
    { format: 5, grain: GRAIN, strokes: STROKES, models: [{ ...MODEL, file: "../a.onnx" }] },
    /not in the folder/,
  ],
  [
    {
      format: 5,
      grain: GRAIN,
      strokes: STROKES,
      models: [{ ...MODEL, styles: [{ ...WAVE, thumbnail: "https://evil.example/a.png" }] }],
    },
    /masters.*its styles/,
  ],
  [
    { format: 5, grain: GRAIN, strokes: STROKES, models: [{ ...MODEL, styles: undefined }] },
    /masters.*its styles/,
  ],
  [
    { format: 5, grain: GRAIN, strokes: STROKES, models: [{ ...MODEL, styles: [{}] }] },
    /masters.*its styles/,
  ],
])("what is wrong is said in words: %j", (data, words) => {
  expect(() => parseManifest(data, PAGE)).toThrow(words);
});
