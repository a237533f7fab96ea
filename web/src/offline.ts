/** Starts the service worker (sw.ts), for threads and for use without network. */

import type { Style } from "./manifest";
import { type Build, runtimeFiles } from "./runtime";

const RELOADED = "reloaded-for-threads";

/** How long to wait for the service worker before the page works without, in milliseconds. */
const PATIENCE = 4000;

function inTime<T>(promise: Promise<T>): Promise<T | undefined> {
  return Promise.race([
    promise,
    new Promise<undefined>((late) => setTimeout(late, PATIENCE, undefined)),
  ]);
}

/**
 * Loads the page again through its service worker, if it needs that for threads.
 *
 * Returns true if the page is about to go. Some pages have no service worker: those that another
 * machine serves by http, and some private windows. They work with the network and one thread.
 */
export async function reloadForThreads(isIdle: () => boolean): Promise<boolean> {
  if (!("serviceWorker" in navigator)) return false;
  try {
    await navigator.serviceWorker.register("sw.js");
  } catch (error) {
    console.warn("neuralart: not kept for offline use:", error);
    return false;
  }
  if (crossOriginIsolated || sessionStorage.getItem(RELOADED)) return false;
  const ready = await inTime(navigator.serviceWorker.ready);
  if (!ready || !isIdle()) return false;
  sessionStorage.setItem(RELOADED, "yes");
  location.reload();
  return true;
}

/** Keeps everything that this browser needs, and then calls `kept`. */
export async function workOffline(
  styles: Style[],
  page: string,
  build: Build,
  kept: () => void,
): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  if (!(await navigator.serviceWorker.getRegistration())) return;
  const { active } = await navigator.serviceWorker.ready;
  navigator.serviceWorker.addEventListener("message", ({ data }) => {
    if (data === "kept") kept();
  });
  const models = new Set(styles.map(({ model }) => model.file));
  active?.postMessage({ keep: [...runtimeFiles(page, build), ...models] });
}
