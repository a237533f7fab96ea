/** The page in use: all kinds of files, drop, paste and camera, keyboard, phone. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  choose,
  downloaded,
  FOLDER,
  launch,
  message,
  newContext,
  open,
  painted,
  picture,
  Site,
  status,
  visit,
} from "./harness";

let site: Site;
let browser: Browser;
/** Someone who has been here before: pages in it do not load everything anew. */
let context: BrowserContext;

beforeAll(async () => {
  site = await Site.open();
  browser = await launch("camera");
  context = await newContext(browser, { permissions: ["camera"] });
});
afterAll(async () => {
  await browser.close();
  await site.close();
});

/** A test with a page of its own. */
function on(name: string, check: (page: Page) => Promise<void>): void {
  test(name, async () => {
    const page = await open(context, site);
    await check(page);
    await page.close();
  });
}

on("what is no photo is refused in words, and the page goes on", async (page) => {
  for (const [name, words] of [
    ["notes.txt", "“notes.txt” is not a picture that this browser can open."],
    ["empty.png", "“empty.png” is empty."],
    ["cut.jpg", "“cut.jpg” cannot be opened: it is damaged"],
    ["bomb.png", "“bomb.png” has 3600 megapixels; more than 200 megapixels cannot be opened"],
  ]) {
    await choose(page, name);
    await message(page).getByText(words).waitFor();
    await page.getByRole("button", { name: "Close the message" }).click();
    expect(await message(page).isHidden()).toBe(true);
  }
  await choose(page, "photo.png");
  await painted(page);
  // A later refusal does not harm the painting that is there.
  await choose(page, "notes.txt");
  await message(page).getByText("is not a picture").waitFor();
  expect((await downloaded(page)).name).toBe("photo-tiny.png");
});

on("an enormous photo is painted smaller, and says so", async (page) => {
  await choose(page, "enormous.png");
  await message(page).getByText("The photo has 30 megapixels; it is painted at").waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  expect(await status(page).textContent()).toBe("Stopped.");
  expect(await page.getByRole("button", { name: "Download PNG" }).isDisabled()).toBe(true);
  await choose(page, "photo.png");
  await painted(page);
});

test("a style that is missing or damaged is told, and another one paints", async () => {
  site.missing.add("/models/tiny.onnx");
  const page = await visit(browser, site, { serviceWorkers: "block" });
  await choose(page, "photo.png");
  await message(page).getByText("“Tiny” cannot be run: its file is missing or damaged.").waitFor();
  await page.getByText("Other", { exact: true }).click();
  await painted(page);
  site.missing.clear();
  site.instead.set("/models/tiny.onnx", "no model");
  await page.getByText("Tiny", { exact: true }).click();
  await message(page).getByText("“Tiny” cannot be run").waitFor();
  site.instead.clear();
  await page.getByText("Tiny", { exact: true }).click();
  await page.context().close();
});

test("a model of another checksum is not used, and a damaged copy is fetched again", async () => {
  const page = await visit(browser, site);
  await page.getByText("Works without network from now on").waitFor();
  // A whole model, but another one.
  site.instead.set("/models/tiny.onnx", readFileSync(join(FOLDER, "site/models/other.onnx")));
  await page.evaluate(async () => {
    for (const name of await caches.keys()) {
      const cache = await caches.open(name);
      for (const { url } of await cache.keys()) {
        if (url.includes("tiny.onnx")) await cache.put(url, new Response("damaged"));
      }
    }
  });
  await page.reload(); // the worker has the model in memory
  await choose(page, "photo.png");
  await message(page).getByText("“Tiny” cannot be run: its file is missing or damaged.").waitFor();
  site.instead.clear();
  await page.getByText("Other", { exact: true }).click();
  await painted(page);
  await page.getByText("Tiny", { exact: true }).click();
  await painted(page);
  await page.context().close();
});

on("the page loads nothing from elsewhere, and runs no script but its own", async (page) => {
  const other = await Site.open();
  const tried = await page.evaluate(async (address) => {
    const result = (outcome: Promise<unknown>) =>
      outcome.then(
        () => "loaded",
        () => "refused",
      );
    const element = (name: string, values: Record<string, string>) =>
      new Promise((onload, onerror) => {
        document.head.append(
          Object.assign(document.createElement(name), values, { onload, onerror }),
        );
      });
    const script = document.createElement("script");
    script.textContent = "window.evil = true";
    document.head.append(script);
    const answer = await fetch("sw.js");
    return {
      fetch: await result(fetch(address, { mode: "no-cors" })),
      script: await result(element("script", { src: address })),
      picture: await result(element("img", { src: address })),
      style: await result(element("link", { rel: "stylesheet", href: address })),
      inline: "evil" in window ? "loaded" : "refused",
      policy: answer.headers.get("Content-Security-Policy")?.split(";")[0],
    };
  }, other.address);
  expect(tried).toEqual({
    fetch: "refused",
    script: "refused",
    picture: "refused",
    style: "refused",
    inline: "refused",
    policy: "default-src 'none'",
  });
  expect(other.requests).toEqual([]);
  await other.close();
});

test("a folder without styles says what to do", async () => {
  site.missing.add("/models/models.json");
  const page = await (await newContext(browser, { serviceWorkers: "block" })).newPage();
  await page.goto(site.address);
  await message(page).getByText("make its folder with neuralart export").waitFor();
  site.missing.clear();
  await page.context().close();
});

on("dropped and pasted", async (page) => {
  const give = (kind: "drop" | "paste", name: string, type: string, base64: string) =>
    page.evaluate(
      ([kind, name, type, base64]) => {
        const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        const data = new DataTransfer();
        if (name) data.items.add(new File([bytes], name, { type }));
        const options = { bubbles: true, cancelable: true };
        document.body.dispatchEvent(
          kind === "drop"
            ? new DragEvent(kind, { ...options, dataTransfer: data })
            : new ClipboardEvent(kind, { ...options, clipboardData: data }),
        );
      },
      [kind, name, type, base64] as const,
    );
  await give("drop", "dropped.png", "image/png", picture("photo.png").toString("base64"));
  await painted(page);
  expect((await downloaded(page)).name).toBe("dropped-tiny.png");
  await give("paste", "image.png", "image/png", picture("small.png").toString("base64"));
  await painted(page);
  expect((await downloaded(page)).name).toBe("image-tiny.png");
  await give("paste", "", "", "");
  await message(page).getByText("There is no picture to paste").waitFor();
});

on("the camera takes a photo, or says why not", async (page) => {
  await page.getByRole("button", { name: "Camera" }).click();
  const dialog = page.getByRole("dialog", { name: "Camera" });
  await dialog.waitFor();
  await page.waitForFunction(
    () => (document.querySelector("video") as HTMLVideoElement).videoWidth > 0,
  );
  await page.getByRole("button", { name: "Take the photo" }).click();
  expect(await dialog.isHidden()).toBe(true);
  await painted(page);
  expect((await downloaded(page)).name).toBe("camera-tiny.png");
  await page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = () =>
      Promise.reject(new DOMException("", "NotAllowedError"));
  });
  await page.getByRole("button", { name: "Camera" }).click();
  await message(page).getByText("permission was refused").waitFor();
});

on("everything by keyboard, and with names that a screen reader says", async (page) => {
  await choose(page, "photo.png");
  await painted(page);
  await page.getByRole("img", { name: "“photo.png” painted as Tiny" }).waitFor();
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  const reached: string[] = [];
  for (let i = 0; i < 9; i++) {
    await page.keyboard.press("Tab");
    reached.push(
      await page.evaluate(() => {
        const { id, name } = document.activeElement as HTMLInputElement;
        return id || name;
      }),
    );
  }
  const order = ["divider", "file", "camera-open", "try", "style", "strength", "stage", "download"];
  expect(reached.slice(0, order.length)).toEqual(order);

  const divider = page.getByRole("slider", { name: "Divider between photo and painting" });
  await divider.focus();
  await page.keyboard.press("ArrowRight");
  expect(await divider.inputValue()).toBe("50.5");
  await page.keyboard.press("End");
  expect(await divider.getAttribute("aria-valuetext")).toBe("photo 100 percent");
  const stage = page.getByRole("slider", { name: "Stage" });
  await stage.focus();
  await page.keyboard.press("ArrowLeft");
  expect(await stage.getAttribute("aria-valuetext")).toBe("1 of 2");
  await page.getByRole("radio", { name: "Tiny" }).focus();
  await page.keyboard.press("ArrowRight");
  expect(await page.getByRole("radio", { name: "Other" }).isChecked()).toBe(true);
  await painted(page);
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>("button, input, select")]
      .filter((control) => !control.hasAttribute("aria-hidden"))
      .filter((control) => {
        const labels = (control as HTMLInputElement).labels?.length ?? 0;
        return !(labels || control.textContent?.trim() || control.getAttribute("aria-label"));
      })
      .map((control) => control.outerHTML),
  );
  expect(nameless).toEqual([]);
});

on("two styles are mixed by keyboard", async (page) => {
  await page.getByRole("radio", { name: "Green" }).focus();
  await page.keyboard.press("Space");
  await page.keyboard.press("Tab");
  const second = page.getByRole("combobox", { name: "Mix with" });
  expect(await second.evaluate((control) => control === document.activeElement)).toBe(true);
  const offered = await second.locator("option").allTextContents();
  expect(offered).toEqual(["No other style", "Red", "Blue"]);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Tab");
  const share = page.getByRole("slider", { name: "Mixture" });
  expect(await share.evaluate((control) => control === document.activeElement)).toBe(true);
  await page.keyboard.press("ArrowLeft");
  expect(await share.getAttribute("aria-valuetext")).toBe("55 percent Green, 45 percent Red");
  await choose(page, "small.png");
  await painted(page);
  await page.getByRole("img", { name: "painted as 55 % Green, 45 % Red" }).waitFor();
  // The other style stays chosen, unless it is the new first one.
  await page.locator("#styles").getByText("Blue", { exact: true }).click();
  expect(await second.inputValue()).not.toBe("");
  await page.locator("#styles").getByText("Red", { exact: true }).click();
  expect(await second.inputValue()).toBe("");
  expect(await share.isVisible()).toBe(false);
  await page.getByText("Tiny", { exact: true }).click();
  expect(await second.isVisible()).toBe(false);
});

test("on a phone: nothing beside the screen, and room for fingers", async () => {
  const phone = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
  const page = await visit(browser, site, phone);
  await page.getByText("Green", { exact: true }).click();
  await page.getByLabel("Mix with").selectOption("Red");
  await choose(page, "photo.png");
  await painted(page);
  const { wide, small } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    small: [...document.querySelectorAll<HTMLElement>("button, .button, select, .slider input")]
      .filter((control) => control.offsetParent)
      .filter((control) => control.getBoundingClientRect().height < 32)
      .map((control) => control.outerHTML),
  }));
  expect(wide).toBe(360);
  expect(small).toEqual([]);
  const handle = await page.locator("#divider").boundingBox();
  if (!handle) throw new Error("no divider");
  await page.touchscreen.tap(handle.x + handle.width * 0.8, handle.y + handle.height / 2);
  expect(Number(await page.locator("#divider").inputValue())).toBeGreaterThan(70);
  await page.context().close();
});
