/** Arithmetic on pixels: RGB, 3 bytes each, rows from the top. */

import type { Model } from "./manifest";
import type { Picture } from "./protocol";
import type { Box } from "./tiles";

/** The size shrunk in proportion to about `most` pixels, if it has more. */
export function sizeWithin(width: number, height: number, most: number): [number, number] {
  const scale = Math.min(1, Math.sqrt(most / (width * height)));
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

function roundUp(pixels: number, multiple: number): number {
  return Math.ceil(pixels / multiple) * multiple;
}

/**
 * The size at which a photo's statistics are measured: its own up to the model's `whole_pixels`,
 * else about `measured_pixels`, in multiples of `multiple`. Neither has more than about `most`.
 */
export function measuredSize(
  width: number,
  height: number,
  model: Pick<Model, "whole_pixels" | "measured_pixels" | "multiple">,
  most = Infinity,
): [number, number] {
  if (width * height <= Math.min(model.whole_pixels, most)) return [width, height];
  const size = sizeWithin(width, height, Math.min(model.measured_pixels, most));
  return [roundUp(size[0], model.multiple), roundUp(size[1], model.multiple)];
}

interface Weights {
  first: number[];
  shares: Float32Array[];
}

/** For each of `to` new pixels: the first of `from` old ones that it covers, and their shares. */
function areas(from: number, to: number): Weights {
  const scale = from / to;
  const first: number[] = [];
  const shares: Float32Array[] = [];
  for (let i = 0; i < to; i++) {
    const [begin, end] = [i * scale, Math.min(from, (i + 1) * scale)];
    const start = Math.floor(begin + 1e-6);
    const share: number[] = [];
    for (let j = start; j < end - 1e-6; j++) {
      share.push((Math.min(end, j + 1) - Math.max(begin, j)) / scale);
    }
    first.push(start);
    shares.push(Float32Array.from(share));
  }
  return { first, shares };
}

/** Shrinks a picture. Each new pixel is the mean of the area it covers, as OpenCV's INTER_AREA. */
export function shrink(photo: Picture, width: number, height: number): Picture {
  if (width === photo.width && height === photo.height) return photo;
  const [columns, rows] = [areas(photo.width, width), areas(photo.height, height)];
  const rgb = new Uint8Array(width * height * 3);
  const sums = new Float32Array(width * 3);
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    rows.shares[y].forEach((down, i) => {
      const row = (rows.first[y] + i) * photo.width;
      for (let x = 0; x < width; x++) {
        const across = columns.shares[x];
        let at = (row + columns.first[x]) * 3;
        for (let j = 0; j < across.length; j++, at += 3) {
          const share = down * across[j];
          sums[x * 3] += share * photo.rgb[at];
          sums[x * 3 + 1] += share * photo.rgb[at + 1];
          sums[x * 3 + 2] += share * photo.rgb[at + 2];
        }
      }
    });
    for (let i = 0; i < sums.length; i++) rgb[y * width * 3 + i] = Math.round(sums[i]);
  }
  return { width, height, rgb };
}

/** The part of a picture in `box`. */
export function cut(photo: Picture, box: Box): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(box.width * box.height * 3);
  for (let y = 0; y < box.height; y++) {
    const from = ((box.top + y) * photo.width + box.left) * 3;
    out.set(photo.rgb.subarray(from, from + box.width * 3), y * box.width * 3);
  }
  return out;
}

/** Puts a part into `box` of a picture. */
export function paste(photo: Picture, box: Box, part: Uint8Array): void {
  for (let y = 0; y < box.height; y++) {
    const row = part.subarray(y * box.width * 3, (y + 1) * box.width * 3);
    photo.rgb.set(row, ((box.top + y) * photo.width + box.left) * 3);
  }
}

/** The place in 0..size-1 that is seen at place `at`, beyond an edge, by reflection. */
function reflected(at: number, size: number): number {
  if (size === 1) return 0;
  const period = 2 * (size - 1);
  const within = ((at % period) + period) % period;
  return within < size ? within : period - within;
}

/** Extends a picture to the right and the bottom by reflection, to at least `least` pixels each. */
export function grown(photo: Picture, least: number): Picture {
  const [width, height] = [Math.max(least, photo.width), Math.max(least, photo.height)];
  if (width === photo.width && height === photo.height) return photo;
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = reflected(y, photo.height) * photo.width + reflected(x, photo.width);
      for (let c = 0; c < 3; c++) rgb[(y * width + x) * 3 + c] = photo.rgb[from * 3 + c];
    }
  }
  return { width, height, rgb };
}

/** The two pictures of the chain that `strength` lies between: 0 is the photo, 1 the last stage. */
export function between(
  strength: number,
  stages: number,
): { lower: number; upper: number; share: number } {
  const place = strength * stages;
  const lower = Math.min(Math.floor(place), Math.max(0, stages - 1));
  return { lower, upper: Math.min(lower + 1, stages), share: place - lower };
}

/** Rows of (1 - share) * lower + share * upper, as RGBA for a canvas. */
export function mixedRows(
  lower: Picture,
  upper: Picture,
  share: number,
  top: number,
  rows: number,
): Uint8ClampedArray<ArrayBuffer> {
  const out = new Uint8ClampedArray(lower.width * rows * 4);
  let from = top * lower.width * 3;
  for (let to = 0; to < out.length; to += 4, from += 3) {
    for (let c = 0; c < 3; c++) {
      const a = lower.rgb[from + c];
      out[to + c] = a + share * (upper.rgb[from + c] - a);
    }
    out[to + 3] = 255;
  }
  return out;
}

/** Converts the RGBA of a canvas to RGB. */
export function withoutAlpha(rgba: Uint8ClampedArray): Uint8Array<ArrayBuffer> {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from];
    rgb[to + 1] = rgba[from + 1];
    rgb[to + 2] = rgba[from + 2];
  }
  return rgb;
}

/** Converts RGB pixels to a red, a green and a blue plane of 0..255, which models take. */
export function toPlanes(rgb: Uint8Array): Float32Array {
  const area = rgb.length / 3;
  const planes = new Float32Array(rgb.length);
  for (let at = 0, from = 0; at < area; at++) {
    planes[at] = rgb[from++];
    planes[area + at] = rgb[from++];
    planes[2 * area + at] = rgb[from++];
  }
  return planes;
}

/** Converts the planes that models make to RGB pixels, rounded and clipped. */
export function fromPlanes(planes: Float32Array): Uint8Array<ArrayBuffer> {
  const area = planes.length / 3;
  const rgb = new Uint8ClampedArray(planes.length); // rounds to the nearest
  for (let at = 0, to = 0; at < area; at++) {
    rgb[to++] = planes[at];
    rgb[to++] = planes[area + at];
    rgb[to++] = planes[2 * area + at];
  }
  return new Uint8Array(rgb.buffer);
}

/** The mean difference of two pictures of one size, 0..255. */
export function meanDifference(first: Uint8Array, second: Uint8Array): number {
  return first.reduce((sum, value, i) => sum + Math.abs(value - second[i]), 0) / first.length;
}
