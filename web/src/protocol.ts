/** The messages between the page and its worker. */

import type { Model } from "./manifest";
import type { Build } from "./runtime";
import type { Box } from "./tiles";

/** A picture: RGB, 3 bytes a pixel, rows from the top. */
export interface Picture {
  width: number;
  height: number;
  rgb: Uint8Array<ArrayBuffer>;
}

export type Provider = "webgpu" | "wasm";

/** What computes. `fastest` tries both on a small picture first. */
export type Engine = Provider | "fastest";

/** The most pixels to compute at once. */
export interface Budget {
  /** Of a tile with its overlap. */
  tile: number;
  /** Of the picture that statistics are measured on, if fewer than the model says. */
  measured?: number;
}

/** Asks the worker to load what it needs to paint with a model. It answers with its engine. */
export interface PrepareRequest {
  type: "prepare";
  model: Model;
  /** The weight of every style of the model, with a sum of 1. */
  mixture: number[];
  engine: Engine;
  build: Build;
  /** The page's address: the runtime is in a folder beside it. */
  page: string;
}

export interface PaintRequest extends Omit<PrepareRequest, "type"> {
  type: "paint";
  photo: Picture;
  budget: Budget;
}

export type PageRequest = PrepareRequest | PaintRequest;

/** Why painting failed. What the page does next depends on it. */
export type Failure = "memory" | "gpu" | "offline" | "model" | "runtime";

export type Answer =
  /** What computes, also in words. */
  | { type: "engine"; provider: Provider; text: string }
  /**
   * Shares of the work: that done, and that of the next answer, which takes about `seconds`.
   * `remaining` is the time for all that is left in seconds, once it is known.
   */
  | { type: "progress"; done: number; next: number; seconds: number; remaining?: number }
  /** A first impression from a small copy: one picture for each stage. */
  | { type: "preview"; width: number; height: number; stages: Uint8Array<ArrayBuffer>[] }
  /** A finished part of the painting: the pixels in `box` after each stage. */
  | { type: "tile"; box: Box; stages: Uint8Array<ArrayBuffer>[] }
  | { type: "done" }
  | { type: "failed"; failure: Failure; detail: string };
