/** The coats in which a large picture is painted, as in `neuralart/painting/strokes.py`. */

import type { Picture } from "./protocol";
import type { Box } from "./tiles";

/** Numbers of `strokes.py`, which says what they are. */
export interface Strokes {
  learned_px: number;
  seen_px: number;
  least_broad: number;
  most_enlarged: number;
  over_share: number;
  detail_share: number;
}

/** How much broader than learned the strokes in a picture of this size are, at least 1. */
function fittingStroke(width: number, height: number, strokes: Strokes): number {
  const edge = Math.min(width, height);
  const seen = Math.min(edge, strokes.seen_px);
  const stroke = (Math.sqrt(seen / strokes.learned_px) * edge) / seen;
  return stroke >= strokes.least_broad ? stroke : 1;
}

/** The widths and heights at which a picture is painted one after the other; the last is its own. */
export function coatSizes(width: number, height: number, strokes: Strokes): [number, number][] {
  const stroke = fittingStroke(width, height, strokes);
  const steps = Math.ceil(Math.log(stroke) / Math.log(strokes.most_enlarged) - 1e-9);
  return Array.from({ length: steps + 1 }, (_, step) => {
    const scale = stroke ** ((step - steps) / Math.max(1, steps));
    return [Math.round(width * scale), Math.round(height * scale)];
  });
}

/** Weights of the four pixels around a place, `at` after the second of them: OpenCV's bicubic. */
function cubic(at: number): number[] {
  const a = -0.75;
  const outer = (x: number) => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  const inner = (x: number) => ((a + 2) * x - (a + 3)) * x * x + 1;
  return [outer(at + 1), inner(at), inner(1 - at), outer(2 - at)];
}

interface Taps {
  /** The four old pixels of each new one, from `begin` on; beyond an edge, those at the edge. */
  places: number[][];
  shares: number[][];
}

/** How `count` of `to` new pixels, from `begin` on, are made of `from` old ones. */
function taps(from: number, to: number, begin: number, count: number): Taps {
  const places: number[][] = [];
  const shares: number[][] = [];
  for (let i = begin; i < begin + count; i++) {
    const centre = ((i + 0.5) * from) / to - 0.5;
    const first = Math.floor(centre);
    places.push([-1, 0, 1, 2].map((k) => Math.min(from - 1, Math.max(0, first + k))));
    shares.push(cubic(centre - first));
  }
  return { places, shares };
}

/** A coat enlarged to a photo, with some of the detail that is in the photo and not in its copy. */
export class Underpainting {
  readonly width: number;
  readonly height: number;

  constructor(
    private readonly painting: Picture,
    private readonly copy: Picture,
    private readonly photo: Picture,
    private readonly detailShare: number,
  ) {
    [this.width, this.height] = [photo.width, photo.height];
  }

  /** The pixels in `box`, rounded and clipped. */
  part({ left, top, width, height }: Box): Uint8Array<ArrayBuffer> {
    const { painting, copy, photo, detailShare } = this;
    const down = taps(copy.height, photo.height, top, height);
    const across = taps(copy.width, photo.width, left, width);
    const out = new Uint8ClampedArray(width * height * 3); // rounds to the nearest
    const row = new Float32Array(copy.width * 3);
    for (let y = 0; y < height; y++) {
      row.fill(0);
      down.places[y].forEach((place, k) => {
        const share = down.shares[y][k];
        const from = place * row.length;
        for (let i = 0, at = from; i < row.length; i++, at++) {
          row[i] += share * (painting.rgb[at] - detailShare * copy.rgb[at]);
        }
      });
      let to = y * width * 3;
      let at = ((top + y) * photo.width + left) * 3;
      for (let x = 0; x < width; x++) {
        const [a, b, c, d] = across.places[x];
        const [p, q, r, s] = across.shares[x];
        for (let colour = 0; colour < 3; colour++, to++, at++) {
          out[to] =
            p * row[3 * a + colour] +
            q * row[3 * b + colour] +
            r * row[3 * c + colour] +
            s * row[3 * d + colour] +
            detailShare * photo.rgb[at];
        }
      }
    }
    return new Uint8Array(out.buffer);
  }

  /** The whole picture. */
  whole(): Picture {
    const { width, height } = this;
    return { width, height, rgb: this.part({ left: 0, top: 0, width, height }) };
  }
}

/** lower + share * (upper - lower), rounded. */
export function mixed(lower: Uint8Array, upper: Uint8Array, share: number) {
  return Uint8Array.from(lower, (value, i) => Math.round(value + share * (upper[i] - value)));
}
