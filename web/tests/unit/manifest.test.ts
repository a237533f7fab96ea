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
  const { runtime, styles } = parseManifest(
    { format: 1, runtime: "folder", styles: [STYLE] },
    PAGE,
  );
  expect(runtime).toBe(`${PAGE}ort/`);
  expect(styles[0].file).toBe(`${PAGE}models/wave.onnx?v=0123456789ab`);
  expect(styles[0].thumbnail).toBe(`${PAGE}models/wave.png`);
});

test("the runtime may come from another host", () => {
  const cdn = "https://cdn.example.net/ort@1/dist/";
  expect(parseManifest({ format: 1, runtime: cdn, styles: [STYLE] }, PAGE).runtime).toBe(cdn);
});

test.each([
  [null, /not of this page’s format/],
  [{ format: 2, runtime: "folder", styles: [STYLE] }, /not of this page’s format/],
  [{ format: 1, runtime: "folder", styles: [] }, /no style/],
  [{ format: 1, runtime: "folder", styles: [{ ...STYLE, reach: "far" }] }, /wave.*reach/],
  [{ format: 1, runtime: "folder", styles: [{ ...STYLE, file: undefined }] }, /wave.*file/],
])("what is wrong is said in words: %j", (data, words) => {
  expect(() => parseManifest(data, PAGE)).toThrow(words);
});
