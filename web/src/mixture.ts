/** What to paint in: one style, or a mixture of two styles of a model. */

import type { Model, Style } from "./manifest";

export interface Choice {
  model: Model;
  /** The weight of every style of the model, with a sum of 1. */
  mixture: number[];
  /** For people: “Wave”, or “70 % Wave, 30 % Scream”. */
  title: string;
  /** For the name of a file: `wave`, or `wave-70-scream-30`. */
  name: string;
}

/** `first`, mixed with `share` 0..1 of `second`, which is a style of the same model. */
export function choiceOf(first: Style, second?: Style, share = 0): Choice {
  const { model } = first;
  const parts = [{ style: first, weight: second ? 1 - share : 1 }];
  if (second) parts.push({ style: second, weight: share });
  const used = parts.filter(({ weight }) => weight > 0);
  const mixture = new Array<number>(model.styles).fill(0);
  for (const { style, weight } of used) mixture[style.index] += weight;
  if (used.length === 1) {
    const [{ style }] = used;
    return { model, mixture, title: style.title, name: style.name };
  }
  const percent = (weight: number) => Math.round(100 * weight);
  return {
    model,
    mixture,
    title: used.map(({ style, weight }) => `${percent(weight)} % ${style.title}`).join(", "),
    name: used.map(({ style, weight }) => `${style.name}-${percent(weight)}`).join("-"),
  };
}
