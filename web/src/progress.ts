/** The bar and the words that tell how far the painting is. */

import { element } from "./dom";
import { inWords, type Progress } from "./pace";

export class ProgressBar {
  private readonly bar = element<HTMLProgressElement>("progress");
  /** Not in the live region: a screen reader would speak it every five seconds. */
  private readonly words = element("remaining");
  private frame = 0;

  /** Shows an empty bar. */
  begin(): void {
    this.bar.value = 0;
    this.words.textContent = "";
    this.bar.hidden = false;
    this.words.hidden = false;
  }

  /** Moves from what is done through the next part, in about the time that it takes. */
  move({ done, next, seconds, remaining }: Progress): void {
    cancelAnimationFrame(this.frame);
    const begun = performance.now();
    const tick = () => {
      const passed = (performance.now() - begun) / 1000;
      const share = seconds > 0 ? passed / seconds : 0;
      // Stops short of the end, which the worker's next answer reports.
      this.bar.value = done + next * Math.min(0.95, share);
      if (remaining !== undefined) {
        const text = inWords(Math.max(0, remaining - passed));
        if (this.words.textContent !== text) this.words.textContent = text;
      }
      this.frame = requestAnimationFrame(tick);
    };
    tick();
  }

  end(): void {
    cancelAnimationFrame(this.frame);
    this.bar.hidden = true;
    this.words.hidden = true;
  }
}
