/** Builds the page into the Python package, with the runtime and the service worker beside it. */

import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Plugin, transformWithEsbuild } from "vite";
import { defineConfig } from "vitest/config";
import { policyOf, scriptsIn } from "./policy";

const OUT = "../neuralart/data/web";
const ORT = "node_modules/onnxruntime-web";
const RUNTIME_VERSION: string = JSON.parse(readFileSync(`${ORT}/package.json`, "utf8")).version;

/** The files that src/runtime.ts loads. */
const RUNTIME = [
  "ort.jspi.bundle.min.mjs",
  "ort-wasm-simd-threaded.jspi.wasm",
  "ort.webgpu.bundle.min.mjs",
  "ort-wasm-simd-threaded.asyncify.wasm",
  "ort.wasm.bundle.min.mjs",
  "ort-wasm-simd-threaded.wasm",
];

function withPolicy(): Plugin {
  return {
    name: "content-security-policy",
    apply: "build",
    transformIndexHtml: {
      order: "post",
      handler: (html) => [
        {
          tag: "meta",
          attrs: {
            "http-equiv": "Content-Security-Policy",
            content: policyOf(scriptsIn(html)),
          },
          injectTo: "head-prepend",
        },
      ],
    },
  };
}

function finish(): Plugin {
  return {
    name: "runtime-and-service-worker",
    apply: "build",
    async closeBundle() {
      const page = (readdirSync(OUT, { recursive: true }) as string[])
        .filter((name) => name.includes("."))
        .sort();
      const ort = join(OUT, "ort");
      mkdirSync(ort, { recursive: true });
      for (const name of RUNTIME) copyFileSync(`${ORT}/dist/${name}`, join(ort, name));
      const source = readFileSync("src/sw.ts", "utf8");
      const { code } = await transformWithEsbuild(source, "sw.ts", {
        define: {
          FILES: JSON.stringify(page),
          POLICY: JSON.stringify(
            policyOf(scriptsIn(readFileSync(join(OUT, "index.html"), "utf8"))),
          ),
        },
        minify: true,
        sourcemap: false,
      });
      writeFileSync(join(OUT, "sw.js"), code); // last: scripts/build_web goes by its date
    },
  };
}

export default defineConfig({
  base: "./",
  define: { RUNTIME_VERSION: JSON.stringify(RUNTIME_VERSION) },
  build: { outDir: OUT, emptyOutDir: true, target: "es2022", modulePreload: { polyfill: false } },
  worker: { format: "es" },
  plugins: [withPolicy(), finish()],
  test: {
    include: ["tests/**/*.test.ts"],
    // Painting takes long on a busy machine.
    testTimeout: 240_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
