/** How far a painting is, and how long it still takes. */

export interface Progress {
  /** Share of the work that is done, 0..1. */
  done: number;
  /** Share of the part that comes next. */
  next: number;
  /** About how long the next part takes; 0 while nothing was measured. */
  seconds: number;
  /** How long all that is left takes, in seconds; undefined until a tile was measured. */
  remaining?: number;
}

/** A part of a painting: a small copy, or a tile of a larger picture. */
export interface Part {
  /** The pixels that it computes. */
  area: number;
  isTile: boolean;
}

/**
 * Measures the parts of a painting, in their order.
 *
 * A large tile takes longer per pixel than a small copy, which fits the processor's caches. So the
 * remaining time is known once a tile is done, and comes from tiles alone. A copy that is larger
 * than the one before likewise tells only about how long the next part takes.
 */
export class Pace {
  private readonly total: number;
  private at = 0;
  private done = 0;
  private perPixel = 0;
  private tileSeconds = 0;
  private tilePixels = 0;

  constructor(private readonly parts: Part[]) {
    this.total = parts.reduce((sum, { area }) => sum + area, 0);
  }

  next(): Progress {
    const { area } = this.parts[this.at];
    const perPixel = this.tilePixels > 0 ? this.tileSeconds / this.tilePixels : 0;
    return {
      done: this.done / this.total,
      next: area / this.total,
      seconds: (perPixel || this.perPixel) * area,
      remaining: perPixel > 0 ? perPixel * (this.total - this.done) : undefined,
    };
  }

  /** The next part is done, after this many seconds. */
  took(seconds: number): void {
    const { area, isTile } = this.parts[this.at];
    this.perPixel = seconds / area;
    if (isTile) {
      this.tileSeconds += seconds;
      this.tilePixels += area;
    }
    this.at += 1;
    this.done += area;
  }
}

/** A time for people: “about 40 seconds left”. It is rounded as far as it is uncertain. */
export function inWords(seconds: number): string {
  if (seconds < 5) return "a few seconds left";
  if (seconds < 90) return `about ${5 * Math.round(seconds / 5)} seconds left`;
  const minutes = Math.round(seconds / 60);
  return `about ${minutes} minutes left`;
}
