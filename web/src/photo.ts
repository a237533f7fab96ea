/** Opens photos: files, pasted pictures, and those of the camera. */

import { imageSize } from "image-size";
import { sizeWithin, withoutAlpha } from "./pixels";
import type { Picture } from "./protocol";

/** A larger picture is refused before the browser decodes it, at 4 bytes a pixel (800 MB). */
const MOST_DECODED_PIXELS = 200_000_000;

/** The header is within these first bytes, even after a thumbnail and a colour profile. */
const HEADER_BYTES = 4_000_000;

export interface Photo extends Picture {
  name: string;
  /** The same for the same file. */
  key: string;
  /** A sentence for people if the photo was shrunk, else empty. */
  note: string;
}

function megapixels(pixels: number): string {
  const value = pixels / 1e6;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} megapixels`;
}

/** The pixels of a picture, shrunk to at most `most`, on white where it is transparent. */
function drawn(picture: ImageBitmap | HTMLVideoElement, size: [number, number], most: number) {
  const [width, height] = sizeWithin(...size, most);
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  if (!context) throw new RangeError("no canvas");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, rgb: withoutAlpha(data) };
}

/** Width and height by the file's header, or undefined for an unknown type. */
async function sizeInHeader(file: Blob): Promise<[number, number] | undefined> {
  try {
    const { width, height } = imageSize(
      new Uint8Array(await file.slice(0, HEADER_BYTES).arrayBuffer()),
    );
    return [width, height];
  } catch {
    return undefined; // the browser may know the type all the same
  }
}

/** Opens a file, upright, in at most `most` pixels. Throws Error with a sentence for people. */
export async function openPhoto(file: File, most: number): Promise<Photo> {
  const { name } = file;
  if (file.size === 0) throw new Error(`“${name}” is empty.`);
  const claimed = await sizeInHeader(file);
  if (claimed && claimed[0] * claimed[1] > MOST_DECODED_PIXELS) {
    throw new Error(
      `“${name}” has ${megapixels(claimed[0] * claimed[1])}; more than ` +
        `${megapixels(MOST_DECODED_PIXELS)} cannot be opened here. Make it smaller first.`,
    );
  }
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(
      claimed
        ? `“${name}” cannot be opened: it is damaged, or of a kind that this browser does not know. ` +
            "JPEG, PNG and WebP always work."
        : `“${name}” is not a picture that this browser can open. JPEG, PNG and WebP always work.`,
    );
  }
  const size: [number, number] = [bitmap.width, bitmap.height];
  try {
    const pixels = drawn(bitmap, size, most);
    const isShrunk = pixels.width < size[0];
    return {
      ...pixels,
      name,
      key: [name, file.size, file.lastModified].join("/"),
      note: isShrunk
        ? `The photo has ${megapixels(size[0] * size[1])}; it is painted at ` +
          `${pixels.width} × ${pixels.height}, which fits this device’s memory.`
        : "",
    };
  } catch {
    throw new Error(`There is not enough memory to open “${name}”. A smaller photo will work.`);
  } finally {
    bitmap.close();
  }
}

/** The camera's current picture, in at most `most` pixels. */
export function photoOf(video: HTMLVideoElement, most: number): Photo {
  const pixels = drawn(video, [video.videoWidth, video.videoHeight], most);
  return { ...pixels, name: "camera", key: `camera ${performance.now()}`, note: "" };
}
