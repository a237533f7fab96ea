/** Reads `models/models.json`, the list that `neuralart export --format web` wrote. */

import type { Strokes } from "./coats";
import { type Grain, parseFields } from "./grain";

/** An ONNX model with one style or several. */
export interface Model {
  /** Address of the file: a name in models.json, absolute once read. */
  file: string;
  /** The file's checksum, 64 hexadecimal digits. A file of another is not used. */
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
  /** A picture of at most this many pixels is measured and painted in one pass. */
  whole_pixels: number;
  /** The statistics of a larger picture are measured on a copy of this many pixels. */
  measured_pixels: number;
  /** What its photos get before they are painted. */
  grain: Grain;
  /** How broad strokes in a large photo are. */
  strokes: Strokes;
  /** The number of its styles. With several, the model takes their weights as an input. */
  styles: number;
}

export interface Style {
  name: string;
  title: string;
  licence: string;
  /** A picture of the style image as a data: URL, or empty. */
  thumbnail: string;
  model: Model;
  /** The place of its weight among those of the model's styles. */
  index: number;
}

/** What models.json says of a style, and of a model. */
type StyleRow = Omit<Style, "model" | "index">;
type ModelRow = Omit<Model, "styles" | "grain" | "strokes"> & {
  styles: StyleRow[];
  grain: number;
};

interface GrainRow {
  units: number;
  fields: string[];
}

/** The format of models.json that this page reads. */
const FORMAT = 5;

const MODELS = "models/";

const SHA256 = /^[0-9a-f]{64}$/;

const NUMBERS = [
  "stages",
  "statistics",
  "reach",
  "multiple",
  "minimum",
  "whole_pixels",
  "measured_pixels",
  "grain",
] as const;

/** The word for what a row of a model lacks, if it lacks something. */
function missingIn(row: ModelRow): string | undefined {
  const wrong = NUMBERS.find((key) => !(row[key] >= 0));
  if (wrong) return wrong;
  if (typeof row.file !== "string") return "its file";
  if (typeof row.sha256 !== "string" || !SHA256.test(row.sha256)) return "its checksum";
  const named = (style: StyleRow) =>
    [style?.name, style?.title, style?.thumbnail].every((x) => typeof x === "string") &&
    /^(data:image\/|$)/.test(style.thumbnail);
  return Array.isArray(row.styles) && row.styles.every(named) ? undefined : "its styles";
}

/** The fields of grain that all models share. Throws Error with a sentence for people. */
function grainOf(row: GrainRow | undefined): Omit<Grain, "strength"> {
  try {
    const { units, fields } = row as GrainRow;
    if (units > 0) return { units, fields: parseFields(fields) };
  } catch {
    // said below
  }
  throw new Error("models.json lacks its grain; export the page again.");
}

const STROKES = [
  "learned_px",
  "seen_px",
  "least_broad",
  "most_enlarged",
  "over_share",
  "detail_share",
] as const;

/** The strokes that all models share. Throws Error with a sentence for people. */
function strokesOf(strokes: Strokes | undefined): Strokes {
  if (strokes && STROKES.every((key) => strokes[key] > 0) && strokes.most_enlarged > 1) {
    return strokes;
  }
  throw new Error("models.json lacks its strokes; export the page again.");
}

/** The address of a file in the folder of models. Throws Error if it is somewhere else. */
function addressOf(file: string, folder: URL): URL {
  const address = new URL(file, folder);
  if (!address.href.startsWith(folder.href)) {
    throw new Error(`models.json: “${file}” is not in the folder of models; export it again.`);
  }
  return address;
}

/**
 * Checks what models.json says, and makes its addresses absolute. `page` is the page's address.
 *
 * Returns the styles of all models. Throws Error with a sentence for people.
 */
export function parseManifest(data: unknown, page: string): Style[] {
  const { format, grain, strokes, models } = (data ?? {}) as {
    format?: number;
    grain?: GrainRow;
    strokes?: Strokes;
    models?: ModelRow[];
  };
  if (format !== FORMAT || !Array.isArray(models)) {
    throw new Error("models.json is not of this page’s format; export the page again.");
  }
  const noise = grainOf(grain);
  const breadths = strokesOf(strokes);
  const folder = new URL(MODELS, page);
  const styles = models.flatMap((row) => {
    const missing = missingIn(row);
    if (missing) {
      throw new Error(`models.json: “${row.file}” lacks ${missing}; export it again.`);
    }
    // With the checksum, a new model has a new address, and caches never serve an old one.
    const file = addressOf(`${row.file}?v=${row.sha256.slice(0, 12)}`, folder).href;
    const own = { ...noise, strength: row.grain };
    const styles = row.styles.length;
    const model: Model = { ...row, file, grain: own, strokes: breadths, styles };
    return row.styles.map((style, index) => ({ ...style, model, index }));
  });
  if (styles.length === 0) throw new Error("models.json lists no style; export the page again.");
  return styles;
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
