/** The messages between the page and its worker. */

import type { Model } from "./manifest";
import type { Box } from "./tiles";

/** A picture: RGB, 3 bytes a pixel, rows from the top. */
export interface Picture {
  width: number;
  height: number;
  rgb: Uint8Array<ArrayBuffer>;
}

export type Provider = "webgpu" | "wasm";

/** The most pixels to compute at once. */
export interface Budget {
  /** Of a tile with its overlap. */
  tile: number;
  /** Of the copy that statistics are measured on, if fewer than the model's `measured_pixels`. */
  measured?: number;
}

export interface PaintRequest {
  type: "paint";
  model: Model;
  /** The weight of every style of the model, with a sum of 1. */
  mixture: number[];
  photo: Picture;
  provider: Provider;
  budget: Budget;
  /** The page's address: the runtime is in a folder beside it. */
  page: string;
}

/** Why painting failed. What the page does next depends on it. */
export type Failure = "memory" | "gpu" | "offline" | "model" | "runtime";

export type Answer =
  /** What computes, in words. */
  | { type: "engine"; text: string }
  /** Shares of the work: that done, and that of the next answer, which takes about `seconds`. */
  | { type: "progress"; done: number; next: number; seconds: number }
  /** A first impression from the copy that was measured: one picture for each stage. */
  | { type: "preview"; width: number; height: number; stages: Uint8Array<ArrayBuffer>[] }
  /** A finished part of the painting: the pixels in `box` after each stage. */
  | { type: "tile"; box: Box; stages: Uint8Array<ArrayBuffer>[] }
  | { type: "done" }
  | { type: "failed"; failure: Failure; detail: string };
