/** The page's controls and what they do. */

import { element } from "./dom";
import { drawnMixture, Easel } from "./easel";
import { fetchStyles, type Style } from "./manifest";
import { type Choice, choiceOf } from "./mixture";
import { reloadForThreads, workOffline } from "./offline";
import { isSmallDevice, Painter } from "./painter";
import { Paintings } from "./paintings";
import type { Photo } from "./photo";
import { between, paste } from "./pixels";
import { ProgressBar } from "./progress";
import type { Engine, Picture } from "./protocol";
import { type Build, suitableBuild } from "./runtime";
import { takePhotos } from "./sources";

/**
 * The most pixels to paint. With four stages, memory holds the photo and four pictures at 3 bytes a
 * pixel, and the canvas of a download.
 */
const MOST_PIXELS = isSmallDevice() ? 12_000_000 : 24_000_000;

/** The most memory for the paintings of before, in bytes. */
const MOST_KEPT = isSmallDevice() ? 60_000_000 : 300_000_000;

const status = element("status");
const progress = new ProgressBar();
const stop = element<HTMLButtonElement>("stop");
const download = element<HTMLButtonElement>("download");
const strength = element<HTMLInputElement>("strength");
const stage = element<HTMLInputElement>("stage");
const divider = element<HTMLInputElement>("divider");
const second = element<HTMLSelectElement>("second");
const share = element<HTMLInputElement>("share");
const frame = element("frame");
const canvas = element<HTMLCanvasElement>("canvas");
const easel = new Easel(canvas);

let photo: Photo | undefined;
let styles: Style[] = [];
let style: Style;
/** What is painted, or was painted last. */
let choice: Choice;
/** The picture after each stage, as far as this photo has been painted in this choice. */
let painting: Picture[] = [];
const paintings = new Paintings(MOST_KEPT);

function alertUser(text: string): void {
  element("alert-text").textContent = text;
  element("alert").hidden = false;
}

function closeAlert(): void {
  element("alert").hidden = true;
}

// ---- The sliders and the easel

function applySliders(): void {
  easel.view = {
    strength: strength.valueAsNumber / 100,
    stage: stage.valueAsNumber,
    divider: divider.valueAsNumber / 100,
  };
  element("strength-value").textContent = `${strength.value} %`;
  element("stage-value").textContent = `${stage.value} of ${stage.max}`;
  strength.setAttribute("aria-valuetext", `${strength.value} percent`);
  stage.setAttribute("aria-valuetext", `${stage.value} of ${stage.max}`);
  divider.setAttribute("aria-valuetext", `photo ${Math.round(divider.valueAsNumber)} percent`);
  // A label at the bottom is hidden where its side is too narrow.
  frame.classList.toggle("no-before", divider.valueAsNumber < 15);
  frame.classList.toggle("no-after", divider.valueAsNumber > 85);
  easel.refresh();
}

/** Fits the stage slider to the chosen style, if its number of stages is another one. */
function setStages(): void {
  const { stages } = style.model;
  if (stage.max !== String(stages) || !painter) {
    stage.max = String(stages); // first, since it limits the value
    stage.value = stage.max;
    const marks = Array.from({ length: stages }, (_, k) => new Option("", String(k + 1)));
    element("stages").replaceChildren(...marks);
  }
  applySliders();
}

for (const slider of [strength, stage, divider]) slider.addEventListener("input", applySliders);

/** Moves the divider to the pointer. Some phones else move it only where its thumb is touched. */
function moveDivider({ clientX }: PointerEvent): void {
  const { left, width } = frame.getBoundingClientRect();
  divider.value = String((100 * (clientX - left)) / width);
  applySliders();
}

divider.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  divider.setPointerCapture(event.pointerId);
  moveDivider(event);
});
divider.addEventListener("pointermove", (event) => {
  if (divider.hasPointerCapture(event.pointerId)) moveDivider(event);
});

// ---- Painting

function showProgress(isPainting: boolean): void {
  if (isPainting) progress.begin();
  else progress.end();
  stop.hidden = !isPainting;
  canvas.setAttribute("aria-busy", String(isPainting));
}

/** Removes the painting; the photo stays. */
function clearPainting(): void {
  painting = [];
  easel.clearPainting();
  frame.classList.add("bare");
  download.disabled = true;
}

function endWith(text: string): void {
  showProgress(false);
  status.textContent = text;
}

/** When the present painting was begun. */
let begun = 0;

function inSeconds(seconds: number): string {
  return `in ${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} seconds`;
}

/** What `paintings` knows a painting by. A photo of another size is another picture. */
function keyOf({ key, width, height }: Photo): string {
  return [choice.model.file, choice.name, width, height, key].join("\n");
}

/** Shows the finished painting. */
function finish(text: string): void {
  easel.showFinished(painting);
  frame.classList.remove("bare");
  download.disabled = false;
  canvas.setAttribute("aria-label", `“${photo?.name}” painted as ${choice.title}`);
  endWith(text);
}

/** What computes: `?engine=webgpu` and `?engine=wasm` in the page's address choose it. */
function engineFor(build: Build): Engine {
  if (build === "plain") return "wasm";
  const asked = new URLSearchParams(location.search).get("engine");
  return asked === "webgpu" || asked === "wasm" ? asked : "fastest";
}

function makePainter(page: string, build: Build): Painter {
  return new Painter(page, build, engineFor(build), {
    engine(text) {
      element("engine").textContent = `Computed by ${text}.`;
    },
    progress: (answer) => progress.move(answer),
    preview(width, height, stages) {
      easel.drawPart(width, height, stages);
      frame.classList.remove("bare");
    },
    tile({ box, stages }) {
      if (!photo) return;
      const { width, height } = photo;
      stages.forEach((rgb, k) => {
        painting[k] ??= { width, height, rgb: new Uint8Array(width * height * 3) };
        paste(painting[k], box, rgb);
      });
      easel.drawPart(box.width, box.height, stages, box);
      frame.classList.remove("bare");
    },
    done() {
      const seconds = (performance.now() - begun) / 1000;
      if (photo) paintings.set(keyOf(photo), { stages: painting, seconds });
      finish(`Painted ${inSeconds(seconds)}.`);
    },
    notice: alertUser,
    failed(text) {
      clearPainting();
      alertUser(text);
      endWith("Not painted.");
    },
  });
}

let painter: Painter | undefined;

function paint(): void {
  clearTimeout(repainting);
  if (!painter) return;
  choice = chosen();
  if (!photo) {
    painter.prepare(choice);
    return;
  }
  clearPainting();
  setStages();
  const before = paintings.get(keyOf(photo));
  if (before) {
    painter.stopPainting();
    painting = before.stages;
    finish(`Painted before, ${inSeconds(before.seconds)}.`);
    return;
  }
  canvas.setAttribute("aria-label", `“${photo.name}”, not painted yet`);
  status.textContent = `Painting ${photo.width} × ${photo.height} as ${choice.title} …`;
  showProgress(true);
  begun = performance.now();
  painter.paint(choice, photo);
}

stop.onclick = () => {
  clearTimeout(repainting);
  painter?.stopPainting();
  clearPainting();
  endWith("Stopped.");
  element("file").focus();
};

function showPhoto(next: Photo): void {
  closeAlert();
  photo = next;
  frame.hidden = false;
  frame.style.setProperty("--ratio", String(photo.width / photo.height));
  element("choose").classList.remove("primary");
  element("empty").hidden = true;
  easel.showPhoto(photo);
  if (photo.note) alertUser(photo.note);
  paint();
}

takePhotos(MOST_PIXELS, showPhoto, alertUser);
element("alert-close").onclick = () => {
  closeAlert();
  element("file").focus();
};

// ---- Download

download.onclick = () => {
  if (!photo || painting.length === 0) return;
  const pictures = [photo, ...painting];
  const { lower, upper, share } = between(strength.valueAsNumber / 100, stage.valueAsNumber);
  const failed = () => alertUser("There is not enough memory to write this picture as PNG.");
  try {
    drawnMixture(pictures[lower], pictures[upper], share).toBlob((blob) => {
      if (!blob) return failed();
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${photo?.name.replace(/\.[^.]*$/, "")}-${choice.name}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    }, "image/png");
  } catch {
    failed();
  }
};

// ---- The styles

function listStyles(): void {
  const choices = styles.map((one, i) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    const title = document.createElement("span");
    Object.assign(input, { type: "radio", name: "style", value: one.name, checked: i === 0 });
    title.textContent = one.title;
    label.append(input, thumbnailOf(one), title);
    input.addEventListener("change", () => {
      style = one;
      listSeconds();
      closeAlert();
      paint();
    });
    return label;
  });
  element("styles").replaceChildren(...choices);
}

function thumbnailOf({ title, thumbnail }: Style): HTMLElement {
  if (thumbnail) {
    const picture = document.createElement("img");
    return Object.assign(picture, { src: thumbnail, alt: "", width: 96, height: 96 });
  }
  const letter = document.createElement("span");
  letter.className = "letter";
  letter.ariaHidden = "true";
  letter.textContent = title.slice(0, 1);
  return letter;
}

// ---- The mixture of two styles

/** How long to wait for the next press of an arrow key, in milliseconds. */
const KEYS_PAUSE = 400;

let repainting: ReturnType<typeof setTimeout> | undefined;

/** The style to mix with, if one is chosen. */
function secondStyle(): Style | undefined {
  return second.value === "" ? undefined : styles[Number(second.value)];
}

function chosen(): Choice {
  return choiceOf(style, secondStyle(), share.valueAsNumber / 100);
}

/** Offers the other styles of the chosen style's model. What was chosen stays if it is among them. */
function listSeconds(): void {
  const before = second.value;
  const others = styles
    .map((one, i) => ({ one, value: String(i) }))
    .filter(({ one }) => one.model === style.model && one !== style);
  const options = others.map(({ one, value }) => new Option(one.title, value));
  second.replaceChildren(new Option("No other style", ""), ...options);
  if (others.some(({ value }) => value === before)) second.value = before;
  element("mix").hidden = others.length === 0;
  showShare();
}

function showShare(): void {
  const other = secondStyle();
  element("share-row").hidden = !other;
  const percent = share.valueAsNumber;
  element("share-first").textContent = `${style.title} ${100 - percent} %`;
  element("share-second").textContent = `${percent} % ${other?.title}`;
  const spoken = `${100 - percent} percent ${style.title}, ${percent} percent ${other?.title}`;
  share.setAttribute("aria-valuetext", spoken);
}

second.addEventListener("change", () => {
  showShare();
  closeAlert();
  paint();
});
share.addEventListener("input", showShare);
share.addEventListener("change", () => {
  clearTimeout(repainting);
  repainting = setTimeout(paint, KEYS_PAUSE);
});

async function start(): Promise<void> {
  const page = document.baseURI;
  if (await reloadForThreads(() => !photo)) return;
  try {
    styles = await fetchStyles(page);
  } catch (error) {
    alertUser(error instanceof Error ? error.message : String(error));
    status.textContent = "";
    return;
  }
  style = styles[0];
  listStyles();
  listSeconds();
  setStages();
  const build = await suitableBuild();
  painter = makePainter(page, build);
  if (!photo) status.textContent = "";
  paint();
  await workOffline(styles, page, build, () => {
    element("offline").textContent = "Works without network from now on.";
  });
}

void start();
