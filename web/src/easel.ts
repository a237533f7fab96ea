/** Shows photo and painting on a canvas, with the divider between them. */

import { between, mixedRows, shrink, sizeWithin } from "./pixels";
import type { Picture } from "./protocol";
import type { Box } from "./tiles";

/** The most pixels of a layer; the picture itself may be larger. */
const SHOWN_PIXELS = 2_000_000;

/** Rows that are drawn at once, which bounds the memory that drawing takes. */
const BAND_ROWS = 256;

type Canvas = HTMLCanvasElement;

function canvasOf(width: number, height: number): [Canvas, CanvasRenderingContext2D] {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { alpha: false });
  if (!context) throw new RangeError("no canvas");
  return [canvas, context];
}

/** A canvas with (1 - share) * lower + share * upper, two pictures of one size. */
export function drawnMixture(lower: Picture, upper: Picture, share: number): Canvas {
  const [canvas, context] = canvasOf(lower.width, lower.height);
  for (let top = 0; top < lower.height; top += BAND_ROWS) {
    const rows = Math.min(BAND_ROWS, lower.height - top);
    const band = mixedRows(lower, upper, share, top, rows);
    context.putImageData(new ImageData(band, lower.width, rows), 0, top);
  }
  return canvas;
}

function drawnPicture(picture: Picture): Canvas {
  return drawnMixture(picture, picture, 0);
}

export class Easel {
  /** The photo, then the painting after each stage. */
  private layers: Canvas[] = [];
  private width = 0;
  private height = 0;
  private scheduled = false;

  /** The sliders: strength 0..1 of the first `stage` stages, divider 0..1 from the left. */
  view = { strength: 1, stage: 1, divider: 0.5 };

  constructor(private readonly canvas: Canvas) {}

  /** Shows a photo, and no painting. */
  showPhoto(photo: Picture): void {
    [this.width, this.height] = [photo.width, photo.height];
    const [width, height] = sizeWithin(photo.width, photo.height, SHOWN_PIXELS);
    this.canvas.width = width;
    this.canvas.height = height;
    this.layers = [drawnPicture(shrink(photo, width, height))];
    this.refresh();
  }

  /** Removes the painting and leaves the photo. */
  clearPainting(): void {
    this.layers.length = Math.min(this.layers.length, 1);
    this.refresh();
  }

  /** Draws a part after each stage into `box` of the whole picture, scaled from any resolution. */
  drawPart(width: number, height: number, stages: Uint8Array<ArrayBuffer>[], box?: Box): void {
    const across = this.canvas.width / this.width;
    const down = this.canvas.height / this.height;
    const { left, top, ...size } = box ?? {
      left: 0,
      top: 0,
      width: this.width,
      height: this.height,
    };
    stages.forEach((rgb, k) => {
      this.layers[k + 1] ??= canvasOf(this.canvas.width, this.canvas.height)[0];
      const context = this.layers[k + 1].getContext("2d");
      context?.drawImage(
        drawnPicture({ width, height, rgb }),
        left * across,
        top * down,
        size.width * across,
        size.height * down,
      );
    });
    this.refresh();
  }

  /** Replaces what `drawPart` drew by the finished picture after each stage. */
  showFinished(stages: Picture[]): void {
    const { width, height } = this.canvas;
    const layers = stages.map((stage) => drawnPicture(shrink(stage, width, height)));
    this.layers.splice(1, this.layers.length - 1, ...layers);
    this.refresh();
  }

  /** Draws again, at the screen's next frame. */
  refresh(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.draw();
    });
  }

  private draw(): void {
    const context = this.canvas.getContext("2d", { alpha: false });
    if (!context || this.layers.length === 0) return;
    const { width, height } = this.canvas;
    context.drawImage(this.layers[0], 0, 0);
    const painted = Math.min(this.view.stage, this.layers.length - 1);
    const { lower, upper, share } = between(this.view.strength, painted);
    const left = Math.round(this.view.divider * width);
    context.save();
    context.beginPath();
    context.rect(left, 0, width - left, height);
    context.clip();
    context.drawImage(this.layers[lower], 0, 0);
    context.globalAlpha = share;
    context.drawImage(this.layers[upper], 0, 0);
    context.restore();
  }
}
