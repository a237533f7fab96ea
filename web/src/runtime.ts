/** Loads onnxruntime-web from the page's folder, in the build that suits the browser. */

import type * as Ort from "onnxruntime-web";
import type { Provider } from "./protocol";

/** The version of onnxruntime-web, set by the build (vite.config.ts). */
declare const RUNTIME_VERSION: string;

/** The folder of the runtime's files, relative to the page. */
const FOLDER = "ort/";

/**
 * The script and the WebAssembly module of each build.
 *
 * All compute on the processor; the first two also on the graphics card. `jspi` needs WebAssembly's
 * promise integration and is smaller; `asyncify` does without.
 */
const BUILDS = {
  jspi: ["ort.jspi.bundle.min.mjs", "ort-wasm-simd-threaded.jspi.wasm"],
  asyncify: ["ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"],
  plain: ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"],
} as const;

/** With more threads, memory is the bottleneck. */
const MOST_THREADS = 8;

function buildOf(): keyof typeof BUILDS {
  if (!navigator.gpu) return "plain";
  return "Suspending" in WebAssembly ? "jspi" : "asyncify";
}

/** The addresses of the files that this browser needs, for the page at this address. */
export function runtimeFiles(page: string): string[] {
  const folder = new URL(FOLDER, page);
  // With the version, another runtime has other addresses, and caches never mix two.
  return BUILDS[buildOf()].map((name) => new URL(`${name}?v=${RUNTIME_VERSION}`, folder).href);
}

/** The number of threads: one unless headers allow them to share memory (sw.ts adds these). */
export function threads(): number {
  return crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;
}

/** Loads the runtime. Throws Error if it cannot be fetched or started. */
export async function loadRuntime(page: string): Promise<typeof Ort> {
  const [script, wasm] = runtimeFiles(page);
  const answer = await fetch(script);
  if (!answer.ok) throw new Error(`${script}: ${answer.status}`);
  // A blob runs whatever type the server sends; some send .mjs as no script.
  const blob = new Blob([await answer.text()], { type: "text/javascript" });
  const ort: typeof Ort = await import(/* @vite-ignore */ URL.createObjectURL(blob));
  ort.env.logLevel = "error";
  ort.env.wasm.wasmPaths = { wasm };
  ort.env.wasm.numThreads = threads();
  return ort;
}

/** Opens a model. Throws whatever the runtime throws. */
export async function openSession(
  ort: typeof Ort,
  model: Uint8Array,
  provider: Provider,
): Promise<Ort.InferenceSession> {
  return ort.InferenceSession.create(model, {
    executionProviders: [provider],
    // Both would hold the memory of the largest picture for as long as the session lives.
    enableMemPattern: false,
    enableCpuMemArena: false,
  });
}
