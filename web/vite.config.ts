/** Builds the page into the Python package, with the runtime and the service worker beside it. */

import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type Plugin, transformWithEsbuild } from "vite";
import { defineConfig } from "vitest/config";
import { policyOf } from "./policy";

const OUT = "../neuralart/data/web";
const ORT = "node_modules/onnxruntime-web";
const RUNTIME_VERSION: string = JSON.parse(readFileSync(`${ORT}/package.json`, "utf8")).version;

/** The files that src/runtime.ts loads; those of WebAssembly are compressed. */
const RUNTIME = [
  "ort.jspi.bundle.min.mjs",
  "ort-wasm-simd-threaded.jspi.wasm",
  "ort.webgpu.bundle.min.mjs",
  "ort-wasm-simd-threaded.asyncify.wasm",
  "ort.wasm.bundle.min.mjs",
  "ort-wasm-simd-threaded.wasm",
];

/** Puts script, style sheet and icon into index.html: a visit needs three requests less. */
function inOneFile(): Plugin {
  return {
    name: "in-one-file",
    apply: "build",
    enforce: "post",
    generateBundle(_, bundle) {
      const html = bundle["index.html"];
      if (html?.type !== "asset") throw new Error("no index.html");
      let text = String(html.source);
      const put = (tag: RegExp, element: (name: string) => string) => {
        const before = text;
        text = text.replace(tag, (_, name: string) => element(name));
        if (text === before) throw new Error(`index.html has no ${tag}`);
      };
      put(/<script type="module"[^>]* src="\.\/(assets\/[^"]+)"><\/script>/, (name) => {
        const chunk = bundle[name];
        if (chunk?.type !== "chunk" || chunk.code.includes("</script")) throw new Error(name);
        delete bundle[name];
        return `<script type="module">${chunk.code}</script>`;
      });
      put(/<link rel="stylesheet"[^>]* href="\.\/(assets\/[^"]+)">/, (name) => {
        const asset = bundle[name];
        if (asset?.type !== "asset") throw new Error(name);
        delete bundle[name];
        return `<style>${asset.source}</style>`;
      });
      const icon = encodeURIComponent(readFileSync("public/icon.svg", "utf8").trim());
      put(/<link rel="icon" href="([^"]+)"/, () => {
        return `<link rel="icon" href="data:image/svg+xml,${icon}"`;
      });
      const policy = policyOf(text);
      put(/<head>()/, () => {
        return `<head>\n<meta http-equiv="Content-Security-Policy" content="${policy}">`;
      });
      html.source = text;
    },
  };
}

function finish(): Plugin {
  return {
    name: "runtime-and-service-worker",
    apply: "build",
    async closeBundle() {
      const files = (readdirSync(OUT, { recursive: true }) as string[])
        .filter((name) => name.includes(".") && name !== "index.html")
        .sort();
      const ort = join(OUT, "ort");
      mkdirSync(ort, { recursive: true });
      for (const name of RUNTIME) {
        const from = `${ORT}/dist/${name}`;
        if (!name.endsWith(".wasm")) copyFileSync(from, join(ort, name));
        else writeFileSync(join(ort, `${name}.gz`), gzipSync(readFileSync(from), { level: 9 }));
      }
      const build = createHash("sha256");
      for (const name of ["index.html", ...files]) build.update(readFileSync(join(OUT, name)));
      const html = readFileSync(join(OUT, "index.html"), "utf8");
      const source = readFileSync("src/sw.ts", "utf8");
      const { code } = await transformWithEsbuild(source, "sw.ts", {
        define: {
          FILES: JSON.stringify(files),
          BUILD: JSON.stringify(build.digest("hex")),
          POLICY: JSON.stringify(policyOf(html)),
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
  plugins: [inOneFile(), finish()],
  test: {
    include: ["tests/**/*.test.ts"],
    // Painting takes long on a busy machine.
    testTimeout: 240_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
