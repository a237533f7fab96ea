/** What the page may load and do, for the page itself (index.html) and the service worker (sw.ts). */

import { createHash } from "node:crypto";

/**
 * The Content-Security-Policy of a page with these scripts in its HTML.
 *
 * Everything comes from the page's own folder. `blob:` is for the runtime, whose script is run from a
 * copy (src/runtime.ts), and for its threads; `data:` for the pictures in the style sheet.
 */
export function policyOf(scripts: string[]): string {
  const hashes = scripts.map((text) => {
    return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  });
  return [
    "default-src 'none'",
    ["script-src 'self' blob: 'wasm-unsafe-eval'", ...hashes].join(" "),
    "worker-src 'self' blob:",
    "connect-src 'self'",
    "img-src 'self' data:",
    "style-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

/** The scripts that stand in an HTML text. */
export function scriptsIn(html: string): string[] {
  return [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(([, text]) => text);
}
