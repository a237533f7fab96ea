/** What the page and its worker say to each other. */

import type { Style } from "./manifest";
import type { Box } from "./tiles";

/** RGB, 3 bytes a pixel, rows from the top. */
export interface Pixels {
  width: number;
  height: number;
  rgb: Uint8Array<ArrayBuffer>;
}

export type Provider = "webgpu" | "wasm";

/** The most that is computed at once, in pixels. */
export interface Budget {
  /** Of the copy that the statistics are measured on. */
  measured: number;
  /** Of a tile with its overlap. */
  tile: number;
}

export interface PaintRequest {
  type: "paint";
  style: Style;
  photo: Pixels;
  provider: Provider;
  budget: Budget;
  /** Folder of the runtime's files, absolute, with a slash at its end. */
  runtime: string;
}

/** Why a painting failed: what the page does next depends on it. */
export type Failure = "memory" | "gpu" | "offline" | "model" | "runtime";

export type Answer =
  /** How it is computed, in words. */
  | { type: "engine"; text: string }
  /** Share of the work that is done, and the seconds that the next answer will take, as far as known. */
  | { type: "progress"; done: number; next: number; seconds: number }
  /** A first impression, from the copy that was measured: one picture for each stage. */
  | { type: "preview"; width: number; height: number; stages: Uint8Array<ArrayBuffer>[] }
  /** A finished part of the painting: `box` of every stage. */
  | { type: "tile"; box: Box; stages: Uint8Array<ArrayBuffer>[] }
  | { type: "done" }
  | { type: "failed"; failure: Failure; detail: string };
