/** The service worker (sw.ts): keeps the page for times without network, and lets threads share memory. */

import type { Manifest } from "./manifest";
import { runtimeFiles } from "./runtime";

const RELOADED = "reloaded-for-threads";

/**
 * Calls `kept` once everything that this browser needs is kept. Where there are no service workers (a page
 * from http and another machine, some private windows), the page works with the network and one thread.
 */
export async function workOffline(
  manifest: Manifest,
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
  // The headers that threads need come with the page itself, so once more through the service worker.
  if (!crossOriginIsolated && isIdle() && !sessionStorage.getItem(RELOADED)) {
    sessionStorage.setItem(RELOADED, "yes");
    location.reload();
    return;
  }
  const things = manifest.styles.flatMap((style) => [style.file, style.thumbnail]);
  navigator.serviceWorker.addEventListener("message", ({ data }) => {
    if (data === "kept") kept();
  });
  active?.postMessage({ keep: [...runtimeFiles(manifest.runtime), ...things] });
}
