import { expect, test } from "vitest";
import { parseManifest } from "../../src/manifest";

const STYLE = {
  name: "wave",
  title: "The Great Wave",
  file: "wave.onnx",
  sha256: "0123456789abcdef",
  stages: 4,
  statistics: 200,
  reach: 100,
  multiple: 8,
  minimum: 17,
  measured_pixels: 1_500_000,
  thumbnail: "wave.png",
  licence: "Apache-2.0",
};
const PAGE = "https://example.org/paint/";

test("addresses are those of the page's folder, a model's with its checksum", () => {
  const [style] = parseManifest({ format: 1, styles: [STYLE] }, PAGE);
  expect(style.file).toBe(`${PAGE}models/wave.onnx?v=0123456789ab`);
  expect(style.thumbnail).toBe(`${PAGE}models/wave.png`);
});

test.each([
  [null, /not of this page’s format/],
  [{ format: 2, styles: [STYLE] }, /not of this page’s format/],
  [{ format: 1, styles: [] }, /no style/],
  [{ format: 1, styles: [{ ...STYLE, reach: "far" }] }, /wave.*reach/],
  [{ format: 1, styles: [{ ...STYLE, file: undefined }] }, /wave.*file/],
])("what is wrong is said in words: %j", (data, words) => {
  expect(() => parseManifest(data, PAGE)).toThrow(words);
});
