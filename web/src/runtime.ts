/** onnxruntime-web, loaded from the folder that models.json names, as the browser can run it. */

import type * as Ort from "onnxruntime-web";
import type { Provider } from "./protocol";

/** Put in by the build: the version of onnxruntime-web. */
declare const RUNTIME_VERSION: string;

/**
 * The build to load. With the first two the graphics card computes; all compute on the processor too.
 *
 * `jspi` needs WebAssembly's promise integration and is the smaller one; `asyncify` does without.
 */
const BUILDS = {
  jspi: ["ort.jspi.bundle.min.mjs", "ort-wasm-simd-threaded.jspi.wasm"],
  asyncify: ["ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"],
  plain: ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"],
} as const;

/** More threads than this wait for memory. */
const MOST_THREADS = 8;

function buildOf(): keyof typeof BUILDS {
  if (!navigator.gpu) return "plain";
  return "Suspending" in WebAssembly ? "jspi" : "asyncify";
}

/** The files that this browser will ask for, to have them before the network is gone. */
export function runtimeFiles(folder: string): string[] {
  // The version makes another runtime another address, so that caches never mix two.
  return BUILDS[buildOf()].map((name) => new URL(`${name}?v=${RUNTIME_VERSION}`, folder).href);
}

/** Whether memory may be shared between threads: it needs headers that not every server sends (sw.ts). */
export function threads(): number {
  return crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;
}

/** Throws Error if it cannot be fetched or started. */
export async function loadRuntime(folder: string): Promise<typeof Ort> {
  const [script, wasm] = runtimeFiles(folder);
  const answer = await fetch(script);
  if (!answer.ok) throw new Error(`${script}: ${answer.status}`);
  // As a blob it runs from another host, too, and whatever type the server calls it by.
  const blob = new Blob([await answer.text()], { type: "text/javascript" });
  const ort: typeof Ort = await import(/* @vite-ignore */ URL.createObjectURL(blob));
  ort.env.logLevel = "error";
  ort.env.wasm.wasmPaths = { wasm };
  ort.env.wasm.numThreads = threads();
  return ort;
}

/** A session of a model. Throws whatever the runtime throws. */
export async function openSession(
  ort: typeof Ort,
  model: Uint8Array,
  provider: Provider,
): Promise<Ort.InferenceSession> {
  return ort.InferenceSession.create(model, {
    executionProviders: [provider],
    // Both keep what the largest picture needed for as long as the session lives.
    enableMemPattern: false,
    enableCpuMemArena: false,
  });
}
