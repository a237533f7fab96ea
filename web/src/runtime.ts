/** Loads onnxruntime-web from the page's folder, in the build that suits the browser. */

import type * as Ort from "onnxruntime-web";
import type { Provider } from "./protocol";

/** The version of onnxruntime-web, set by the build (vite.config.ts). */
declare const RUNTIME_VERSION: string;

/** The folder of the runtime's files, relative to the page. */
const FOLDER = "ort/";

/**
 * The script and the WebAssembly module of each build. The modules are compressed, since many static
 * servers do not compress: 14 to 27 MB become 4 to 7 MB.
 *
 * All compute on the processor; the first two also on the graphics card. `jspi` needs WebAssembly's
 * promise integration and is smaller; `asyncify` does without.
 */
const BUILDS = {
  jspi: ["ort.jspi.bundle.min.mjs", "ort-wasm-simd-threaded.jspi.wasm.gz"],
  asyncify: ["ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm.gz"],
  plain: ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm.gz"],
} as const;

export type Build = keyof typeof BUILDS;

/** With more threads, memory is the bottleneck. */
const MOST_THREADS = 8;

/**
 * The build for this browser. Those with WebGPU are larger: only where there is a graphics card, and
 * not one computed by software.
 */
export async function suitableBuild(): Promise<Build> {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter || adapter.info?.isFallbackAdapter) return "plain";
  return "Suspending" in WebAssembly ? "jspi" : "asyncify";
}

/** The addresses of a build's files, for the page at this address. */
export function runtimeFiles(page: string, build: Build): string[] {
  const folder = new URL(FOLDER, page);
  // With the version, another runtime has other addresses, and caches never mix two.
  return BUILDS[build].map((name) => new URL(`${name}?v=${RUNTIME_VERSION}`, folder).href);
}

/** The number of threads: one unless headers allow them to share memory (sw.ts adds these). */
export function threads(): number {
  return crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;
}

async function fetched(address: string): Promise<Response> {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer;
}

/** The content of a file that gzip compressed. Some servers have the browser decompress it. */
async function unzipped(answer: Response): Promise<ArrayBuffer> {
  const data = await answer.blob();
  const [first, second] = new Uint8Array(await data.slice(0, 2).arrayBuffer());
  if (first !== 0x1f || second !== 0x8b) return data.arrayBuffer();
  return new Response(data.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** Loads the runtime. Throws Error if it cannot be fetched or started. */
export async function loadRuntime(page: string, build: Build): Promise<typeof Ort> {
  const [script, wasm] = runtimeFiles(page, build);
  const [text, wasmBinary] = await Promise.all([
    fetched(script).then((answer) => answer.text()),
    fetched(wasm).then(unzipped),
  ]);
  // A blob runs whatever type the server sends; some send .mjs as no script.
  const blob = new Blob([text], { type: "text/javascript" });
  const ort: typeof Ort = await import(/* @vite-ignore */ URL.createObjectURL(blob));
  ort.env.logLevel = "error";
  ort.env.wasm.wasmBinary = wasmBinary;
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
