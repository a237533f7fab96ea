/** Starts the worker that paints, and tries another way when one fails. */

import type { Choice } from "./mixture";
import type { Answer, Budget, Failure, PaintRequest, Picture, Provider } from "./protocol";

/** Tried in this order when memory is short. The first two measure as `neuralart stylize` does. */
const BUDGETS: Budget[] = [
  { tile: 2_500_000 },
  { tile: 600_000 },
  { tile: 250_000, measured: 100_000 },
];

/** A phone or small tablet: its browser silently ends a page that takes much memory. */
export function isSmallDevice(): boolean {
  const { deviceMemory } = navigator as { deviceMemory?: number }; // GB; some browsers have none
  return deviceMemory === undefined ? matchMedia("(pointer: coarse)").matches : deviceMemory <= 4;
}

export interface Listener {
  engine(text: string): void;
  progress(done: number, next: number, seconds: number): void;
  preview(width: number, height: number, stages: Uint8Array<ArrayBuffer>[]): void;
  tile(answer: Extract<Answer, { type: "tile" }>): void;
  done(): void;
  /** Painting goes on in another way. */
  notice(text: string): void;
  /** Painting has ended. */
  failed(text: string): void;
}

const SENTENCES: Record<Exclude<Failure, "gpu">, (choice: Choice) => string> = {
  memory: () => "There is not enough memory to paint this photo here. A smaller photo will work.",
  offline: ({ title }) => `“${title}” could not be loaded. Is the connection gone?`,
  model: ({ title }) => `“${title}” cannot be run: its file is missing or damaged.`,
  runtime: () => "The painting engine could not be loaded. Is the connection gone?",
};

export class Painter {
  private worker: Worker | undefined;
  private isBusy = false;
  private provider: Provider | undefined;
  private budgetIndex = isSmallDevice() ? 1 : 0;

  constructor(
    /** The page's address. */
    private readonly page: string,
    private readonly listener: Listener,
  ) {}

  /** Stops painting at once. */
  stop(): void {
    this.worker?.terminate();
    this.worker = undefined;
    this.isBusy = false;
  }

  async paint(choice: Choice, photo: Picture): Promise<void> {
    if (this.isBusy) this.stop();
    this.isBusy = true;
    this.provider ??= (await navigator.gpu?.requestAdapter().catch(() => null)) ? "webgpu" : "wasm";
    if (!this.isBusy) return; // stopped while it asked for the adapter
    const { provider } = this;
    const request: PaintRequest = {
      type: "paint",
      model: choice.model,
      mixture: choice.mixture,
      photo,
      provider,
      budget: BUDGETS[this.budgetIndex],
      page: this.page,
    };
    this.worker ??= new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => this.receive(data, choice, photo);
    this.worker.onerror = (event) => {
      // The worker could not catch it: it was not loaded, or its module aborted.
      const failure = event.message ? "memory" : "runtime";
      this.receive({ type: "failed", failure, detail: event.message }, choice, photo);
    };
    this.worker.postMessage(request);
  }

  private receive(answer: Answer, choice: Choice, photo: Picture): void {
    const { listener } = this;
    if (answer.type === "engine") listener.engine(answer.text);
    else if (answer.type === "progress")
      listener.progress(answer.done, answer.next, answer.seconds);
    else if (answer.type === "preview")
      listener.preview(answer.width, answer.height, answer.stages);
    else if (answer.type === "tile") listener.tile(answer);
    else if (answer.type === "failed") this.recover(answer.failure, answer.detail, choice, photo);
    else {
      this.isBusy = false;
      listener.done();
    }
  }

  private recover(failure: Failure, detail: string, choice: Choice, photo: Picture): void {
    console.warn(`neuralart: ${failure}: ${detail}`);
    const wasBusy = this.isBusy;
    this.stop(); // only the worker's end frees its memory
    if (!wasBusy) return; // the graphics card was lost between two paintings; the next asks again
    if (failure === "gpu") {
      this.provider = "wasm";
      this.listener.notice(
        "The graphics card stopped answering. Painting goes on on the processor, which is slower.",
      );
      void this.paint(choice, photo);
    } else if (failure === "memory" && this.budgetIndex + 1 < BUDGETS.length) {
      this.budgetIndex += 1;
      this.listener.notice("Memory was short. Painting goes on in smaller pieces.");
      void this.paint(choice, photo);
    } else {
      this.listener.failed(SENTENCES[failure](choice));
    }
  }
}
