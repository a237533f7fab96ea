/** The page's paintings against those of neuralart stylize, on every path through the page. */

import { cpus } from "node:os";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  choose,
  difference,
  downloaded,
  inWorker,
  launch,
  message,
  newContext,
  open,
  painted,
  picture,
  Site,
  slide,
  visit,
  withLittleMemory,
} from "./harness";

/** The largest mean difference, of 255: rounding, and sums in another order. */
const NEAR = 2;

let site: Site;
let browser: Browser;
let context: BrowserContext;

beforeAll(async () => {
  site = await Site.open();
  browser = await launch();
  context = await newContext(browser);
});
afterAll(async () => {
  await browser.close();
  await site.close();
});

function sizeOf(png: Buffer): [number, number] {
  return [png.readUInt32BE(16), png.readUInt32BE(20)]; // IHDR
}

async function compare(page: Page, expected: string, most = NEAR): Promise<void> {
  const { data } = await downloaded(page);
  const { mean } = await difference(page, data, picture(expected));
  console.info(`${expected}: ${mean.toFixed(4)} of 255 from neuralart stylize`);
  expect(mean).toBeLessThanOrEqual(most);
}

describe("with threads", () => {
  let page: Page;
  beforeAll(async () => {
    page = await open(context, site);
  });
  afterAll(() => page.close());

  test("a photo becomes the painting that neuralart stylize makes", async () => {
    await choose(page, "photo.png");
    await painted(page);
    const { name, data } = await downloaded(page);
    expect(name).toBe("photo-tiny.png");
    const away = await difference(page, data, picture("photo.png"));
    expect(away.mean).toBeGreaterThan(10); // it is a painting at all
    await compare(page, "photo.tiny.png");
    if (cpus().length > 1) {
      expect(await page.locator("#engine").textContent()).toMatch(/processor, \d+ threads/);
    }
  });

  test("sliders: stage 1, the photo itself, a part of it", async () => {
    await slide(page, "Stage", 1);
    await compare(page, "photo.tiny.stage1.png");
    await slide(page, "Stage", 2);
    await slide(page, "Strength", 0);
    const { data } = await downloaded(page);
    expect(await difference(page, data, picture("photo.png"))).toEqual({ mean: 0, largest: 0 });
    await slide(page, "Strength", 30); // three fifths of the way to the first of two
    await compare(page, "photo.tiny.strength.png");
    await slide(page, "Strength", 100);
  });

  test("the picture on the page is the one that is downloaded, right of the divider", async () => {
    const left = () =>
      page.evaluate(() => {
        const canvas = document.querySelector("canvas");
        return Array.from(canvas?.getContext("2d")?.getImageData(4, 4, 1, 1).data ?? []);
      });
    await slide(page, "Divider between photo and painting", 100);
    await page.waitForTimeout(100);
    const before = await left();
    await slide(page, "Divider between photo and painting", 0);
    await page.waitForTimeout(100);
    const after = await left();
    expect(before).not.toEqual(after);
    const { data } = await downloaded(page);
    const pixel = await page.evaluate(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
      context?.drawImage(bitmap, 0, 0);
      return Array.from(context?.getImageData(4, 4, 1, 1).data ?? []);
    }, data.toString("base64"));
    expect(after).toEqual(pixel);
  });

  test("a photo of 270,000 pixels is measured in its own size", async () => {
    await choose(page, "middle.png");
    await painted(page);
    await compare(page, "middle.tiny.png", 0.1);
    await choose(page, "photo.png");
    await painted(page);
  });

  test("another style paints again", async () => {
    await page.getByText("Other", { exact: true }).click();
    await painted(page);
    await compare(page, "photo.other.png");
  });

  test("styles of one model, and a mixture of two", async () => {
    expect(await page.getByLabel("Mix with").isVisible()).toBe(false);
    await page.getByText("Green", { exact: true }).click();
    await painted(page);
    await compare(page, "photo.trio.green.png");
    await page.getByLabel("Mix with").selectOption("Red");
    await painted(page);
    await slide(page, "Mixture", 30);
    await page.getByRole("img", { name: "painted as 70 % Green, 30 % Red" }).waitFor();
    expect((await downloaded(page)).name).toBe("photo-green-70-red-30.png");
    await compare(page, "photo.trio.png");
  });

  test("a photo smaller than the model takes, and one that lies on its side", async () => {
    await page.getByText("Tiny", { exact: true }).click();
    await painted(page); // so that its end is not taken for that of the next
    await choose(page, "dot.png");
    await painted(page);
    const { data } = await downloaded(page);
    expect(sizeOf(data)).toEqual([5, 3]);
    await choose(page, "turned.jpg");
    await painted(page);
    await compare(page, "turned.tiny.png");
  });
});

test("on a device of little memory a photo is painted in tiles", async () => {
  const page = await open(context, site, withLittleMemory);
  await choose(page, "large.jpg");
  await painted(page);
  await compare(page, "large.tiny.png");
  await page.getByText("Green", { exact: true }).click();
  await page.getByLabel("Mix with").selectOption("Red");
  await slide(page, "Mixture", 30);
  await page
    .getByRole("img", { name: "painted as 70 % Green, 30 % Red" })
    .waitFor({ timeout: 170_000 });
  await compare(page, "large.trio.png");
  await page.close();
});

test("without a service worker: one thread", async () => {
  const page = await visit(browser, site, { serviceWorkers: "block" });
  await choose(page, "photo.png");
  await painted(page);
  expect(await page.locator("#engine").textContent()).toContain("one thread");
  await compare(page, "photo.tiny.png");
  await page.context().close();
});

test("without network, once it was loaded", async () => {
  const here = await Site.open();
  const page = await visit(browser, here);
  await page.getByText("Works without network").waitFor();
  await here.close();
  await page.reload();
  await page.getByRole("radio").first().waitFor({ state: "attached" });
  await choose(page, "photo.png");
  await painted(page);
  await compare(page, "photo.tiny.png");
  await page.context().close();
});

test("when memory is short, in smaller pieces", async () => {
  const page = await open(context, site, (page) =>
    inWorker(
      page,
      `const Whole = WebAssembly.Memory;
       WebAssembly.Memory = function (size) {
         return new Whole({ ...size, maximum: Math.min(size.maximum, 3000) }); // of 64 KB
       };`,
    ),
  );
  await choose(page, "large.jpg");
  await message(page).getByText("Memory was short").waitFor({ timeout: 60_000 });
  await painted(page);
  const { data } = await downloaded(page);
  expect(sizeOf(data)).toEqual([1100, 801]);
  // The statistics may be those of a smaller copy: near, but not the same.
  const { mean } = await difference(page, data, picture("large.tiny.png"));
  expect(mean).toBeLessThan(12);
  await page.close();
});

describe("with WebGPU", () => {
  let gpu: Browser;
  let context: BrowserContext;
  const FORCED = "?engine=webgpu"; // software is too slow to be chosen
  beforeAll(async () => {
    gpu = await launch("gpu");
    context = await newContext(gpu);
    await context.addInitScript(() => {
      Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { value: false });
    });
  });
  afterAll(() => gpu.close());

  test("a card that is slower than the processor is not used", async () => {
    const page = await open(context, site);
    await page.getByText("Computed by the processor").waitFor();
    await choose(page, "small.png");
    await painted(page);
    await compare(page, "small.tiny.png");
    await page.close();
  });

  test("the graphics card paints the same", async () => {
    const page = await open(context, site, undefined, true, FORCED);
    await choose(page, "small.png");
    await painted(page);
    expect(await page.locator("#engine").textContent()).toContain("graphics card");
    await compare(page, "small.tiny.png");
    await page.close();
  });

  test("the graphics card paints a mixture", async () => {
    const page = await open(context, site, undefined, true, FORCED);
    await page.getByText("Green", { exact: true }).click();
    await page.getByLabel("Mix with").selectOption("Red");
    await slide(page, "Mixture", 30);
    await choose(page, "small.png");
    await painted(page);
    expect(await page.locator("#engine").textContent()).toContain("graphics card");
    await compare(page, "small.trio.png");
    await page.close();
  });

  test("when it is lost in the middle, the processor goes on", async () => {
    const page = await open(
      context,
      site,
      (page) =>
        inWorker(
          page,
          `const ask = GPUAdapter.prototype.requestDevice, submit = GPUQueue.prototype.submit;
         let device, isPainting = false, submitted = 0;
         addEventListener("message", ({ data }) => { isPainting ||= data.type === "paint"; });
         GPUAdapter.prototype.requestDevice = async function (...all) {
           return (device = await ask.apply(this, all));
         };
         GPUQueue.prototype.submit = function (...all) {
           if (isPainting && ++submitted === 2) device.destroy();
           return submit.apply(this, all);
         };`,
        ),
      true,
      FORCED,
    );
    await choose(page, "small.png");
    await message(page).getByText("The graphics card stopped answering").waitFor();
    await painted(page);
    expect(await page.locator("#engine").textContent()).toContain("processor");
    await compare(page, "small.tiny.png");
    await page.close();
  });
});
