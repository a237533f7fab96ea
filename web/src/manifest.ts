/** `models/models.json`: the styles that `neuralart export --format web` put beside the page. */

export interface Style {
  name: string;
  title: string;
  /** Address of the ONNX model, absolute once read. */
  file: string;
  sha256: string;
  stages: number;
  /** Channels of all norms: so many means and variances are the statistics. */
  statistics: number;
  /** Pixels from a tile's edge within which it may differ from the whole picture. */
  reach: number;
  /** Tiles begin at multiples of this. */
  multiple: number;
  /** Least height and width that the model takes. */
  minimum: number;
  /** Statistics of larger pictures are measured on a copy of this many pixels. */
  measured_pixels: number;
  thumbnail: string;
  licence: string;
}

export interface Manifest {
  styles: Style[];
  /** Folder of onnxruntime-web's files, absolute, with a slash at its end. */
  runtime: string;
}

/** The newest format of models.json that this page reads. */
const FORMAT = 1;

const MODELS = "models/";

/** What models.json says where the runtime's files lie beside the page. */
const IN_FOLDER = "folder";

const NUMBERS = [
  "stages",
  "statistics",
  "reach",
  "multiple",
  "minimum",
  "measured_pixels",
] as const;

/** Checked, with addresses made absolute. Throws Error with a sentence for people. */
export function parseManifest(data: unknown, page: string): Manifest {
  const { format, runtime, styles } = (data ?? {}) as {
    format?: number;
    runtime?: string;
    styles?: Style[];
  };
  if (format !== FORMAT || typeof runtime !== "string" || !Array.isArray(styles)) {
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
  return {
    runtime: new URL(runtime === IN_FOLDER ? "ort/" : runtime, page).href,
    styles: styles.map((style) => ({
      ...style,
      // The checksum makes a new model a new address, so that caches never serve an old one.
      file: new URL(`${style.file}?v=${style.sha256.slice(0, 12)}`, models).href,
      thumbnail: new URL(style.thumbnail, models).href,
    })),
  };
}

/** Throws Error with a sentence for people. */
export async function fetchManifest(page: string): Promise<Manifest> {
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
