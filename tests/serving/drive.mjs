/**
 * Drives serve's pages in Chromium; test_pages.py starts it and judges what it prints as JSON.
 *
 * usage: node drive.mjs paint|run ADDRESS FOLDER     (playwright-core and axe-core are web/'s)
 */

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";

const require = createRequire(new URL("../../web/package.json", import.meta.url));
const { chromium } = require("playwright-core");

const [, , what, address, folder] = process.argv;
const found = {};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
page.setDefaultTimeout(60_000);
const complaints = [];
page.on("console", (message) => {
  if (message.type() === "error") complaints.push(message.text());
});
page.on("pageerror", (error) => complaints.push(String(error)));

async function drop(file) {
  const data = readFileSync(join(folder, file)).toString("base64");
  const transfer = await page.evaluateHandle(
    ([text, name]) => {
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], name));
      return transfer;
    },
    [data, basename(file)],
  );
  await page.dispatchEvent("#drop", "drop", { dataTransfer: transfer });
}

async function said(text) {
  await page.waitForFunction(
    (words) => document.querySelector("[role=status]").textContent === words,
    text,
  );
}

async function axe() {
  let path;
  try {
    path = require.resolve("axe-core");
  } catch {
    return null;
  }
  await page.evaluate(readFileSync(path, "utf8"));
  const { violations } = await page.evaluate(() => axe.run());
  return violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`);
}

async function paint() {
  await page.goto(address);
  await page.getByRole("radio").first().waitFor({ state: "attached" });
  found.axe = await axe();
  await drop("notes.txt");
  await page.getByRole("alert").getByText("the photo: not a picture").waitFor();
  await drop("photo.png");
  await said("Painted.");
  found.after_drop = await page.evaluate(() => ({
    alert: document.getElementById("alert").hidden,
    before: document.getElementById("before").naturalWidth,
    after: document.getElementById("after").naturalWidth,
    // The painting covers the right half.
    cut: getComputedStyle(document.getElementById("after")).clipPath,
  }));
  await page.getByLabel("Divider between photo and painting").fill("20");
  found.cut = await page.evaluate(
    () => getComputedStyle(document.getElementById("after")).clipPath,
  );
  const painted = [];
  page.on("request", (request) => {
    if (request.method() === "POST") painted.push(request.url());
  });
  // By keyboard: the next style.
  await page.getByRole("radio").first().focus();
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction(() => document.getElementById("save").download === "photo-green.png");
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction(() => document.getElementById("save").download === "photo-red.png");
  found.requests_for_two_changes = painted.length; // the first style was painted already
  await page.getByLabel("Mix with").selectOption("green");
  await page.waitForFunction(() => /red-50/.test(document.getElementById("save").download));
  await said("Painted.");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByText("Save the painting").click(),
  ]);
  found.name = download.suggestedFilename();
  writeFileSync(join(folder, "saved.png"), readFileSync(await download.path()));
  found.axe_painted = await axe();
  await page.screenshot({ path: join(folder, "paint.png") });
  await page.setViewportSize({ width: 360, height: 740 });
  found.overflow = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
}

async function run() {
  await page.goto(address);
  await said("Training");
  await page.locator("#curves polyline").first().waitFor({ state: "attached" });
  await page.locator("#sheets figcaption").first().waitFor(); // the curves are shown before
  found.where = await page.locator("#where").textContent();
  found.sheets = await page.locator("#sheets figcaption").allTextContents();
  found.axe = await axe();
  console.error("ready"); // test_pages.py goes on with the run
  await page.waitForFunction(() => document.querySelectorAll("#sheets figure").length === 2);
  await page.waitForFunction(() => /step 20/.test(document.getElementById("where").textContent));
  found.where_later = await page.locator("#where").textContent();
  found.sheets_later = await page.locator("#sheets figcaption").allTextContents();
  await page.waitForFunction(() => document.querySelector("#sheets img").naturalWidth > 0);
  found.width = await page.evaluate(() => document.querySelector("#sheets img").naturalWidth);
  await said("Finished");
  await page.locator("#evaluation table").waitFor();
  found.axe_finished = await axe();
  await page.screenshot({ path: join(folder, "run.png") });
}

try {
  await { paint, run }[what]();
} finally {
  await browser.close();
}
found.complaints = complaints;
console.log(JSON.stringify(found));
