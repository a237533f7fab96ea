/** The page: what its controls do. */

import { Camera } from "./camera";
import { element } from "./dom";
import { drawnMixture, Easel } from "./easel";
import { fetchManifest, type Manifest, type Style } from "./manifest";
import { workOffline } from "./offline";
import { isSmallDevice, Painter } from "./painter";
import { openPhoto, type Photo } from "./photo";
import { between, paste } from "./pixels";
import type { Pixels } from "./protocol";

/** Of a photo and of each stage of its painting: 3 bytes a pixel, five times, and the canvas of a download. */
const MOST_PIXELS = isSmallDevice() ? 12_000_000 : 24_000_000;

const status = element("status");
const progress = element<HTMLProgressElement>("progress");
const stop = element<HTMLButtonElement>("stop");
const download = element<HTMLButtonElement>("download");
const strength = element<HTMLInputElement>("strength");
const stage = element<HTMLInputElement>("stage");
const divider = element<HTMLInputElement>("divider");
const frame = element("frame");
const canvas = element<HTMLCanvasElement>("canvas");
const easel = new Easel(canvas);

let photo: Photo | undefined;
let style: Style;
/** The finished painting after each stage, if there is one of this photo in this style. */
let painting: Pixels[] = [];

function alertUser(text: string): void {
  element("alert-text").textContent = text;
  element("alert").hidden = false;
}

function closeAlert(): void {
  element("alert").hidden = true;
}

// ---- The sliders and the easel

function adjust(): void {
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
  // The words at the bottom go where there is room for them.
  frame.classList.toggle("no-before", divider.valueAsNumber < 15);
  frame.classList.toggle("no-after", divider.valueAsNumber > 85);
  easel.refresh();
}

/** All stages of the chosen style, if another one had another number of them. */
function setStages(): void {
  if (stage.max !== String(style.stages) || !painter) {
    stage.max = String(style.stages); // first: a value is cut to it
    stage.value = stage.max;
    const marks = Array.from({ length: style.stages }, (_, k) => new Option("", String(k + 1)));
    element("stages").replaceChildren(...marks);
  }
  adjust();
}

for (const slider of [strength, stage, divider]) slider.addEventListener("input", adjust);

// ---- Painting

function showProgress(isPainting: boolean): void {
  progress.hidden = !isPainting;
  stop.hidden = !isPainting;
  canvas.setAttribute("aria-busy", String(isPainting));
}

/** Moves on while the worker computes, at the pace of what it has computed. */
let moving = 0;

function move(done: number, next: number, seconds: number): void {
  cancelAnimationFrame(moving);
  const begun = performance.now();
  const tick = () => {
    const share = seconds > 0 ? (performance.now() - begun) / 1000 / seconds : 0;
    // Never quite there: the answer says when it is.
    progress.value = done + next * Math.min(0.95, share);
    moving = requestAnimationFrame(tick);
  };
  tick();
}

/** Back to the bare photo. */
function wipe(): void {
  painting = [];
  easel.wipe();
  frame.classList.add("bare");
  download.disabled = true;
}

function ended(text: string): void {
  cancelAnimationFrame(moving);
  showProgress(false);
  status.textContent = text;
}

function makePainter(manifest: Manifest): Painter {
  let begun = 0;
  return new Painter(manifest, {
    engine(text) {
      begun ||= performance.now();
      element("engine").textContent = `Computed by ${text}.`;
    },
    progress: move,
    preview(width, height, stages) {
      easel.put(width, height, stages);
      frame.classList.remove("bare");
    },
    tile({ box, stages }) {
      if (!photo) return;
      const { width, height } = photo;
      stages.forEach((rgb, k) => {
        painting[k] ??= { width, height, rgb: new Uint8Array(width * height * 3) };
        paste(painting[k], box, rgb);
      });
      easel.put(box.width, box.height, stages, box);
      frame.classList.remove("bare");
    },
    done() {
      const seconds = (performance.now() - begun) / 1000;
      begun = 0;
      easel.finish(painting);
      download.disabled = false;
      canvas.setAttribute("aria-label", `“${photo?.name}” painted as ${style.title}`);
      ended(`Painted in ${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} seconds.`);
    },
    notice: alertUser,
    failed(text) {
      wipe();
      alertUser(text);
      ended("Not painted.");
    },
  });
}

let painter: Painter | undefined;

function paint(): void {
  if (!photo || !painter) return;
  wipe();
  canvas.setAttribute("aria-label", `“${photo.name}”, not painted yet`);
  setStages();
  status.textContent = `Painting ${photo.width} × ${photo.height} as ${style.title} …`;
  progress.value = 0;
  showProgress(true);
  void painter.paint(style, photo);
}

stop.onclick = () => {
  painter?.stop();
  wipe();
  ended("Stopped.");
  element("file").focus();
};

function hang(next: Photo): void {
  closeAlert();
  photo = next;
  frame.hidden = false;
  frame.style.setProperty("--ratio", String(photo.width / photo.height));
  element("choose").classList.remove("primary");
  element("empty").hidden = true;
  easel.hang(photo);
  if (photo.note) alertUser(photo.note);
  paint();
}

// ---- Where photos come from

async function open(file: Blob, name: string): Promise<void> {
  const before = status.textContent;
  status.textContent = `Opening “${name}” …`;
  try {
    hang(await openPhoto(file, name, MOST_PIXELS));
  } catch (error) {
    status.textContent = before;
    alertUser(error instanceof Error ? error.message : String(error));
  }
}

for (const id of ["file", "capture"]) {
  const input = element<HTMLInputElement>(id);
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) void open(file, file.name);
    input.value = ""; // so that the same file may be chosen again
  });
}

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  element("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) element("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").classList.remove("over");
  const file = event.dataTransfer?.files[0];
  if (file) void open(file, file.name);
  else alertUser("That is not a file. Save the picture first and drop the file here.");
});
document.addEventListener("paste", (event) => {
  const file = event.clipboardData?.files[0];
  if (file) void open(file, file.name);
  else alertUser("There is no picture to paste. Copy the picture itself, not its address.");
});

const camera = new Camera(MOST_PIXELS, hang, alertUser);
element("camera-open").onclick = () => void camera.open();
element("alert-close").onclick = () => {
  closeAlert();
  element("file").focus();
};

// ---- Taking it away

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
      link.download = `${photo?.name.replace(/\.[^.]*$/, "")}-${style.name}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    }, "image/png");
  } catch {
    failed();
  }
};

// ---- The styles

function listStyles(styles: Style[]): void {
  const choices = styles.map((one, i) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    const picture = document.createElement("img");
    const title = document.createElement("span");
    Object.assign(input, { type: "radio", name: "style", value: one.name, checked: i === 0 });
    Object.assign(picture, { src: one.thumbnail, alt: "", width: 96, height: 96 });
    title.textContent = one.title;
    label.append(input, picture, title);
    input.addEventListener("change", () => {
      style = one;
      closeAlert();
      paint();
    });
    return label;
  });
  element("styles").replaceChildren(...choices);
}

async function start(): Promise<void> {
  const page = document.baseURI;
  let manifest: Manifest;
  try {
    manifest = await fetchManifest(page);
  } catch (error) {
    alertUser(error instanceof Error ? error.message : String(error));
    status.textContent = "";
    return;
  }
  style = manifest.styles[0];
  listStyles(manifest.styles);
  setStages();
  painter = makePainter(manifest);
  status.textContent = "";
  if (photo) paint();
  await workOffline(
    manifest,
    () => !photo,
    () => {
      element("offline").textContent = "Works without network from now on.";
    },
  );
}

void start();
