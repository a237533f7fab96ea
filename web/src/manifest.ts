/** Reads `models/models.json`, the list of styles that `neuralart export --format web` wrote. */

export interface Style {
  name: string;
  title: string;
  /** Address of the ONNX model: a name in the file, absolute once read. */
  file: string;
  sha256: string;
  stages: number;
  /** Channels of all norms together. The statistics are a mean and a variance for each. */
  statistics: number;
  /** Radius of the receptive field: nearer to its edge, a tile differs from the whole picture. */
  reach: number;
  /** Tiles begin at multiples of this number of pixels. */
  multiple: number;
  /** The smallest height and width that the model accepts. */
  minimum: number;
  /** The statistics of a larger picture are measured on a copy of this many pixels. */
  measured_pixels: number;
  thumbnail: string;
  licence: string;
}

/** The format of models.json that this page reads. */
const FORMAT = 1;

const MODELS = "models/";

const NUMBERS = [
  "stages",
  "statistics",
  "reach",
  "multiple",
  "minimum",
  "measured_pixels",
] as const;

/**
 * Checks what models.json says, and makes its addresses absolute. `page` is the page's address.
 *
 * Throws Error with a sentence for people.
 */
export function parseManifest(data: unknown, page: string): Style[] {
  const { format, styles } = (data ?? {}) as { format?: number; styles?: Style[] };
  if (format !== FORMAT || !Array.isArray(styles)) {
    throw new Error("models.json is not of this page’s format; export the page again.");
  }
  if (styles.length === 0) throw new Error("models.json lists no style; export the page again.");
  for (const style of styles) {
    const wrong = NUMBERS.find((key) => !(style[key] >= 0));
    if (wrong || typeof style.file !== "string" || typeof style.sha256 !== "string") {
      throw new Error(
        `models.json: “${style.name}” lacks ${wrong ?? "its file"}; export it again.`,
      );
    }
  }
  const models = new URL(MODELS, page);
  return styles.map((style) => ({
    ...style,
    // With the checksum, a new model has a new address, and caches never serve an old one.
    file: new URL(`${style.file}?v=${style.sha256.slice(0, 12)}`, models).href,
    thumbnail: new URL(style.thumbnail, models).href,
  }));
}

/** Fetches the styles of the page at this address. Throws Error with a sentence for people. */
export async function fetchStyles(page: string): Promise<Style[]> {
  let answer: Response;
  try {
    answer = await fetch(new URL("models.json", new URL(MODELS, page)));
  } catch {
    throw new Error("The styles could not be loaded. Is the connection gone?");
  }
  if (!answer.ok) {
    throw new Error("There is no style beside this page; make its folder with neuralart export.");
  }
  let data: unknown;
  try {
    data = await answer.json();
  } catch {
    throw new Error("models.json is damaged; export the page again.");
  }
  return parseManifest(data, page);
}
