import { expect, test } from "vitest";
import { parseManifest } from "../../src/manifest";

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
  measured_pixels: 1_500_000,
  styles: [WAVE],
};
const PAGE = "https://example.org/paint/";

test("addresses are those of the page's folder, a model's with its checksum", () => {
  const [style] = parseManifest({ format: 3, models: [MODEL] }, PAGE);
  expect(style.model.file).toBe(`${PAGE}models/masters.onnx?v=0123456789ab`);
  expect(style.thumbnail).toBe(WAVE.thumbnail);
});

test("styles of one model share it, and have places in its mixture", () => {
  const models = [{ ...MODEL, styles: [WAVE, SCREAM] }, MODEL];
  const [wave, scream, other] = parseManifest({ format: 3, models }, PAGE);
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
  [{ format: 2, models: [MODEL] }, /not of this page’s format/],
  [{ format: 3, models: [] }, /no style/],
  [{ format: 3, models: [{ ...MODEL, reach: "far" }] }, /masters.*reach/],
  [{ format: 3, models: [{ ...MODEL, file: undefined }] }, /its file/],
  [{ format: 3, models: [{ ...MODEL, sha256: "0123" }] }, /masters.*its checksum/],
  [{ format: 3, models: [{ ...MODEL, file: "https://evil.example/a.onnx" }] }, /not in the folder/],
  [{ format: 3, models: [{ ...MODEL, file: "//evil.example/a.onnx" }] }, /not in the folder/],
  [{ format: 3, models: [{ ...MODEL, file: "../a.onnx" }] }, /not in the folder/],
  [
    {
      format: 3,
      models: [{ ...MODEL, styles: [{ ...WAVE, thumbnail: "https://evil.example/a.png" }] }],
    },
    /masters.*its styles/,
  ],
  [{ format: 3, models: [{ ...MODEL, styles: undefined }] }, /masters.*its styles/],
  [{ format: 3, models: [{ ...MODEL, styles: [{}] }] }, /masters.*its styles/],
])("what is wrong is said in words: %j", (data, words) => {
  expect(() => parseManifest(data, PAGE)).toThrow(words);
});
