/** What the page may load and do, for the page itself (index.html) and the service worker (sw.ts). */

import { createHash } from "node:crypto";

function hashed(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

function textsIn(html: string, pattern: RegExp): string[] {
  return [...html.matchAll(pattern)].map(([, text]) => hashed(text));
}

/**
 * The Content-Security-Policy of a page with this HTML, whose own scripts and styles it allows.
 *
 * Everything else comes from the page's own folder. `blob:` is for the runtime, whose script is run from a
 * copy (src/runtime.ts), and for its threads and the worker that paints; `data:` for the pictures
 * of styles and those in the style sheet.
 */
export function policyOf(html: string): string {
  const scripts = textsIn(html, /<script(?: type="module")?>([\s\S]*?)<\/script>/g);
  const styles = textsIn(html, /<style>([\s\S]*?)<\/style>/g);
  return [
    "default-src 'none'",
    ["script-src 'self' blob: 'wasm-unsafe-eval'", ...scripts].join(" "),
    "worker-src 'self' blob:",
    "connect-src 'self'",
    "img-src 'self' data:",
    ["style-src 'self'", ...styles].join(" "),
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}
