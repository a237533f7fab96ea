/** Starts the worker that paints, and tries another way when one fails. */

import type { Choice } from "./mixture";
import type { Answer, Budget, Engine, Failure, PageRequest, Picture } from "./protocol";
import type { Build } from "./runtime";
import PaintWorker from "./worker?worker&inline";

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
  progress(answer: Extract<Answer, { type: "progress" }>): void;
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
  /** What is being painted. */
  private job: { choice: Choice; photo: Picture } | undefined;
  private budgetIndex = isSmallDevice() ? 1 : 0;

  constructor(
    /** The page's address. */
    private readonly page: string,
    private readonly build: Build,
    private engine: Engine,
    private readonly listener: Listener,
  ) {}

  /** Stops painting, if it paints. The worker of an ended painting is ready for the next. */
  stopPainting(): void {
    if (this.job) this.stop();
  }

  private stop(): void {
    this.worker?.terminate();
    this.worker = undefined;
    this.job = undefined;
  }

  /** Loads what a painting needs, so that it begins at once. */
  prepare(choice: Choice): void {
    if (!this.job) this.send({ type: "prepare", ...this.common(choice) });
  }

  paint(choice: Choice, photo: Picture): void {
    this.stopPainting();
    this.job = { choice, photo };
    const { width, height, rgb } = photo;
    this.send({
      type: "paint",
      ...this.common(choice),
      photo: { width, height, rgb },
      budget: BUDGETS[this.budgetIndex],
    });
  }

  private common({ model, mixture }: Choice) {
    return { model, mixture, engine: this.engine, build: this.build, page: this.page };
  }

  private send(request: PageRequest): void {
    if (!this.worker) {
      const worker = new PaintWorker();
      worker.onmessage = ({ data }: MessageEvent<Answer>) => this.receive(data);
      worker.onerror = (event) => {
        // The worker could not catch it: it was not loaded, or its module aborted.
        const failure = event.message ? "memory" : "runtime";
        this.receive({ type: "failed", failure, detail: event.message });
      };
      this.worker = worker;
    }
    this.worker.postMessage(request);
  }

  private receive(answer: Answer): void {
    const { listener } = this;
    if (answer.type === "engine") {
      this.engine = answer.provider;
      listener.engine(answer.text);
    } else if (answer.type === "progress") listener.progress(answer);
    else if (answer.type === "preview")
      listener.preview(answer.width, answer.height, answer.stages);
    else if (answer.type === "tile") listener.tile(answer);
    else if (answer.type === "failed") this.recover(answer.failure, answer.detail);
    else {
      this.job = undefined;
      listener.done();
    }
  }

  private recover(failure: Failure, detail: string): void {
    console.warn(`neuralart: ${failure}: ${detail}`);
    const { job } = this;
    this.stop(); // only the worker's end frees its memory
    if (failure === "gpu") this.engine = "wasm";
    if (!job) return; // lost between two paintings
    const { choice, photo } = job;
    if (failure === "gpu") {
      this.listener.notice(
        "The graphics card stopped answering. Painting goes on on the processor, which is slower.",
      );
      this.paint(choice, photo);
    } else if (failure === "memory" && this.budgetIndex + 1 < BUDGETS.length) {
      this.budgetIndex += 1;
      this.listener.notice("Memory was short. Painting goes on in smaller pieces.");
      this.paint(choice, photo);
    } else {
      this.listener.failed(SENTENCES[failure](choice));
    }
  }
}
