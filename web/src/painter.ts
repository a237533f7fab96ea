/** The page's side of a painting: starts the worker, and goes on in another way when one fails. */

import type { Manifest, Style } from "./manifest";
import type { Answer, Budget, Failure, PaintRequest, Pixels, Provider } from "./protocol";

/** Tried one after the other when memory is short. The first two measure as `neuralart stylize` does. */
const BUDGETS: Budget[] = [
  { measured: 250_000, tile: 2_500_000 },
  { measured: 250_000, tile: 600_000 },
  { measured: 100_000, tile: 250_000 },
];

/** Phones and small tablets: their browsers end a page that takes much memory, without a word. */
export function isSmallDevice(): boolean {
  const { deviceMemory } = navigator as { deviceMemory?: number }; // GB; not in every browser
  return deviceMemory === undefined ? matchMedia("(pointer: coarse)").matches : deviceMemory <= 4;
}

export interface Listener {
  engine(text: string): void;
  progress(done: number, next: number, seconds: number): void;
  preview(width: number, height: number, stages: Uint8Array<ArrayBuffer>[]): void;
  tile(answer: Extract<Answer, { type: "tile" }>): void;
  done(): void;
  /** It goes on in another way. */
  notice(text: string): void;
  /** It does not. */
  failed(text: string): void;
}

const SENTENCES: Record<Exclude<Failure, "gpu">, (style: Style) => string> = {
  memory: () => "There is not enough memory to paint this photo here. A smaller photo will work.",
  offline: (style) => `“${style.title}” could not be loaded. Is the connection gone?`,
  model: (style) => `“${style.title}” cannot be run: its file is missing or damaged.`,
  runtime: () => "The painting engine could not be loaded. Is the connection gone?",
};

export class Painter {
  private worker: Worker | undefined;
  private isBusy = false;
  private provider: Provider | undefined;
  private level = isSmallDevice() ? 1 : 0;

  constructor(
    private readonly manifest: Manifest,
    private readonly listener: Listener,
  ) {}

  /** Stop what is going on, at once. */
  stop(): void {
    this.worker?.terminate();
    this.worker = undefined;
    this.isBusy = false;
  }

  async paint(style: Style, photo: Pixels): Promise<void> {
    if (this.isBusy) this.stop();
    this.isBusy = true;
    this.provider ??= (await navigator.gpu?.requestAdapter().catch(() => null)) ? "webgpu" : "wasm";
    if (!this.isBusy) return; // stopped meanwhile
    const { provider } = this;
    const request: PaintRequest = {
      type: "paint",
      style,
      photo,
      provider,
      budget: BUDGETS[this.level],
      runtime: this.manifest.runtime,
    };
    this.worker ??= new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => this.hear(data, style, photo);
    this.worker.onerror = (event) => {
      // Nothing that the worker could catch itself: it was not loaded, or its module ended.
      const failure = event.message ? "memory" : "runtime";
      this.hear({ type: "failed", failure, detail: event.message }, style, photo);
    };
    this.worker.postMessage(request);
  }

  private hear(answer: Answer, style: Style, photo: Pixels): void {
    const { listener } = this;
    if (answer.type === "engine") listener.engine(answer.text);
    else if (answer.type === "progress")
      listener.progress(answer.done, answer.next, answer.seconds);
    else if (answer.type === "preview")
      listener.preview(answer.width, answer.height, answer.stages);
    else if (answer.type === "tile") listener.tile(answer);
    else if (answer.type === "failed") this.recover(answer.failure, answer.detail, style, photo);
    else {
      this.isBusy = false;
      listener.done();
    }
  }

  private recover(failure: Failure, detail: string, style: Style, photo: Pixels): void {
    console.warn(`neuralart: ${failure}: ${detail}`);
    const wasBusy = this.isBusy;
    this.stop(); // its memory is only given back with it
    if (!wasBusy) return; // a graphics card lost between two paintings: the next one asks again
    if (failure === "gpu") {
      this.provider = "wasm";
      this.listener.notice(
        "The graphics card stopped answering. Painting goes on on the processor, which is slower.",
      );
      void this.paint(style, photo);
    } else if (failure === "memory" && this.level + 1 < BUDGETS.length) {
      this.level += 1;
      this.listener.notice("Memory was short. Painting goes on in smaller pieces.");
      void this.paint(style, photo);
    } else {
      this.listener.failed(SENTENCES[failure](style));
    }
  }
}
