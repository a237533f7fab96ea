import type { Strokes } from "../../src/coats";

/** Those of neuralart/painting/strokes.py. */
export const STROKES: Strokes = {
  learned_px: 320,
  seen_px: 1280,
  least_broad: 1.2,
  most_enlarged: 2.5,
  over_share: 0.6,
  detail_share: 0.75,
};
