/**
 * Runs the page in a browser, from a server that sends no header but the type.
 *
 * tests/exporting/test_web.py makes the folder NEURALART_PAGE. It holds the exported page (`site`),
 * one of the shipped styles (`shipped`), and photos with what `neuralart stylize` makes of them.
 */

import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from "playwright-core";

export const FOLDER = process.env.NEURALART_PAGE ?? "";

/** The system's Chromium. */
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** WebGPU computed by software: slow, but the same interface. */
const SOFTWARE_GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];
const FAKE_CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** Where the page is on its host: below a folder, as on many hosts. */
const BASE = "/page/";

export class Site {
  /** Answers in place of files. */
  readonly instead = new Map<string, string | Buffer>();
  readonly missing = new Set<string>();
  /** What was asked for, and the bytes of all answers. */
  readonly requests: string[] = [];
  bytes = 0;
  private readonly server: Server;

  private constructor(private readonly folder: string) {
    this.server = createServer((request, response) => {
      const path = normalize(new URL(request.url ?? "/", "http://x").pathname);
      this.requests.push(path);
      if (!path.startsWith(BASE)) {
        response.writeHead(404).end();
        return;
      }
      const inside = path.slice(BASE.length - 1);
      const name = inside.endsWith("/") ? `${inside}index.html` : inside;
      const file = join(FOLDER, this.folder, name);
      if (this.missing.has(name) || !(this.instead.has(name) || existsSync(file))) {
        response.writeHead(404).end();
        return;
      }
      const type = TYPES[extname(name)] ?? "application/octet-stream";
      response.writeHead(200, { "Content-Type": type });
      const data = this.instead.get(name) ?? readFileSync(file);
      this.bytes += data.length;
      response.end(data);
    });
  }

  static async open(folder: "site" | "shipped" = "site"): Promise<Site> {
    const site = new Site(folder);
    await new Promise<void>((listening) => site.server.listen(0, "localhost", listening));
    return site;
  }

  get address(): string {
    return `http://localhost:${(this.server.address() as AddressInfo).port}${BASE}`;
  }

  async close(): Promise<void> {
    const closed = new Promise((done) => this.server.close(done));
    this.server.closeAllConnections();
    await closed;
  }
}

export function launch(more: "gpu" | "camera" | "plain" = "plain"): Promise<Browser> {
  const flags = { gpu: SOFTWARE_GPU, camera: FAKE_CAMERA, plain: [] }[more];
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-dev-shm-usage", ...flags],
  });
}

export async function newContext(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<BrowserContext> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 860 },
    ...options,
  });
  context.setDefaultTimeout(90_000); // for a busy machine
  return context;
}

/**
 * Opens the page and waits until it may be used; in a context that has a service worker, as the
 * page that the worker serves.
 */
export async function open(
  context: BrowserContext,
  site: Site,
  before?: (page: Page) => Promise<void>,
  worker = true,
  query = "",
): Promise<Page> {
  const page = await context.newPage();
  await before?.(page);
  await page.goto(site.address + query);
  if (worker) await page.waitForFunction(() => crossOriginIsolated);
  await page.getByRole("radio").first().waitFor({ state: "attached" });
  return page;
}

/** Opens the page in a context of its own, which has no cache and no service worker yet. */
export async function visit(
  browser: Browser,
  site: Site,
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await newContext(browser, options);
  return open(context, site, undefined, options.serviceWorkers !== "block");
}

/** Makes the page see a device of little memory, so that it begins with small tiles. */
export async function withLittleMemory(page: Page): Promise<void> {
  await page.addInitScript(() => Object.defineProperty(navigator, "deviceMemory", { value: 2 }));
}

/** Runs code in the worker that paints, before its own. */
export async function inWorker(page: Page, code: string): Promise<void> {
  await page.addInitScript((source) => {
    const blob = (text: string) =>
      URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    window.Worker = class extends Worker {
      constructor(url: string | URL, options?: WorkerOptions) {
        const real = new URL(url, location.href).href;
        super(blob(`import "${blob(source)}"; import "${real}";`), options);
      }
    };
  }, code);
}

export const status = (page: Page) => page.getByRole("status");
export const message = (page: Page) => page.getByRole("alert");

export async function painted(page: Page): Promise<void> {
  const seen = await page.waitForFunction(
    () =>
      /^(Painted|Not painted).*/.exec(document.querySelector("#status")?.textContent ?? "")?.[0],
    null,
    { timeout: 170_000 },
  );
  const text = await seen.jsonValue();
  if (!text?.startsWith("Painted")) throw new Error(`${text} ${await message(page).textContent()}`);
}

export async function choose(page: Page, name: string): Promise<void> {
  await page.setInputFiles("#file", join(FOLDER, name));
}

export async function slide(page: Page, label: string, value: number): Promise<void> {
  await page.getByLabel(label, { exact: true }).fill(String(value));
}

export async function downloaded(page: Page): Promise<{ name: string; data: Buffer }> {
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download PNG" }).click(),
  ]);
  return { name: download.suggestedFilename(), data: readFileSync(await download.path()) };
}

/** Mean and largest difference, 0..255, of two PNGs of one size. */
export async function difference(
  page: Page,
  first: Buffer,
  second: Buffer,
): Promise<{ mean: number; largest: number }> {
  const addresses = [first, second].map(
    (data) => `data:image/png;base64,${data.toString("base64")}`,
  );
  return page.evaluate(async (pictures) => {
    const [a, b] = await Promise.all(
      pictures.map(async (address) => {
        const bytes = Uint8Array.from(atob(address.split(",")[1]), (c) => c.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
        const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
        if (!context) throw new Error("no canvas");
        context.drawImage(bitmap, 0, 0);
        return context.getImageData(0, 0, bitmap.width, bitmap.height);
      }),
    );
    if (a.width !== b.width || a.height !== b.height) {
      throw new Error(`${a.width} x ${a.height} and ${b.width} x ${b.height}`);
    }
    let [sum, largest] = [0, 0];
    for (let i = 0; i < a.data.length; i++) {
      const apart = Math.abs(a.data[i] - b.data[i]);
      sum += apart;
      largest = Math.max(largest, apart);
    }
    return { mean: sum / (a.width * a.height * 3), largest };
  }, addresses);
}

export function picture(name: string): Buffer {
  return readFileSync(join(FOLDER, name));
}
