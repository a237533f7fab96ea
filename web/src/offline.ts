/** Starts the service worker (sw.ts), for use without network and for threads. */

import type { Style } from "./manifest";
import { runtimeFiles } from "./runtime";

const RELOADED = "reloaded-for-threads";

/**
 * Keeps everything that this browser needs, and then calls `kept`.
 *
 * Some pages have no service worker: those that another machine serves by http, and some private
 * windows. They work with the network and one thread.
 */
export async function workOffline(
  styles: Style[],
  page: string,
  isIdle: () => boolean,
  kept: () => void,
): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  try {
    await navigator.serviceWorker.register("sw.js");
  } catch (error) {
    console.warn("neuralart: not kept for offline use:", error);
    return;
  }
  const { active } = await navigator.serviceWorker.ready;
  // Threads need headers on the page itself: load it again, now through the service worker.
  if (!crossOriginIsolated && isIdle() && !sessionStorage.getItem(RELOADED)) {
    sessionStorage.setItem(RELOADED, "yes");
    location.reload();
    return;
  }
  const addresses = styles.flatMap(({ model, thumbnail }) => [model.file, thumbnail]);
  const things = new Set(addresses.filter((address) => address !== ""));
  navigator.serviceWorker.addEventListener("message", ({ data }) => {
    if (data === "kept") kept();
  });
  active?.postMessage({ keep: [...runtimeFiles(page), ...things] });
}
