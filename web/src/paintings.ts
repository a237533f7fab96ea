/** Keeps finished paintings, so that going back to a style or a photo shows them at once. */

import type { Picture } from "./protocol";

export interface Painting {
  /** The picture after each stage. */
  stages: Picture[];
  /** How long it took. */
  seconds: number;
}

function bytesOf({ stages }: Painting): number {
  return stages.reduce((sum, { rgb }) => sum + rgb.byteLength, 0);
}

/** The paintings that were used last, in at most `most` bytes. */
export class Paintings {
  /** In the order of their use, the last one last. */
  private readonly kept = new Map<string, Painting>();

  constructor(private readonly most: number) {}

  get(key: string): Painting | undefined {
    const found = this.kept.get(key);
    if (found) {
      this.kept.delete(key);
      this.kept.set(key, found);
    }
    return found;
  }

  /** Keeps a painting, and drops those whose use is longest ago. One that is too large is not kept. */
  set(key: string, painting: Painting): void {
    if (bytesOf(painting) > this.most) return;
    this.kept.delete(key);
    this.kept.set(key, painting);
    let bytes = [...this.kept.values()].reduce((sum, one) => sum + bytesOf(one), 0);
    for (const [oldest, one] of this.kept) {
      if (bytes <= this.most) break;
      this.kept.delete(oldest);
      bytes -= bytesOf(one);
    }
  }
}
