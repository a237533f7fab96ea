/** Sends a photo to POST /paint, and shows the painting over it. */

const PREVIEW_PX = 480; // longest edge of the first, quick painting
const SETTLE_MS = 250; // from the last move of a slider to the painting

const byId = (id) => document.getElementById(id);
const [before, after, divider, frame] = ["before", "after", "divider", "frame"].map(byId);

const about = await (await fetch("/about.json")).json();
byId("to-run").hidden = !about.run;
byId("to-page").hidden = !about.page;

/** The photo: its file, whether this browser can show it, and its longest edge in pixels. */
let photo = null;
/** Addresses of paintings of the photo, by their settings: none is painted twice. */
const paintings = new Map();
let running = null;
let timer = 0;

function tell(text) {
  byId("status").textContent = text;
}

function complain(text) {
  byId("alert").textContent = text;
  byId("alert").hidden = !text;
}

// ---- styles -------------------------------------------------------------------------------------

const styles = about.models.flatMap((model) => model.styles.map((style) => ({ model, style })));

for (const [k, { style }] of styles.entries()) {
  const label = document.createElement("label");
  const radio = document.createElement("input");
  Object.assign(radio, { type: "radio", name: "style", value: String(k), checked: k === 0 });
  const picture = document.createElement(style.thumbnail ? "img" : "span");
  if (style.thumbnail) Object.assign(picture, { src: style.thumbnail, alt: "" });
  else picture.className = "blank";
  label.append(radio, picture, style.title);
  byId("styles").append(label);
}

function chosen() {
  return styles[Number(document.querySelector("input[name=style]:checked").value)];
}

function offerSecond() {
  const { model, style } = chosen();
  const others = model.styles.filter((other) => other !== style);
  const earlier = byId("second").value;
  byId("second").replaceChildren(
    new Option("no other style", ""),
    ...others.map((other) => new Option(other.title, other.name)),
  );
  byId("second").value = others.some((other) => other.name === earlier) ? earlier : "";
  byId("mix").hidden = others.length === 0;
  byId("share-row").hidden = !byId("second").value;
}

function settings() {
  const { model, style } = chosen();
  const second = byId("second").value;
  const share = Number(byId("share").value);
  const words = second ? `${style.name}=${100 - share},${second}=${share}` : style.name;
  const parameters = new URLSearchParams({ model: model.name, style: words });
  if (byId("strength").value !== "100") {
    parameters.set("strength", String(Number(byId("strength").value) / 100));
  }
  if (byId("colours").checked) parameters.set("preserve_colors", "1");
  return parameters;
}

// ---- painting -----------------------------------------------------------------------------------

async function request(parameters, signal) {
  let response;
  try {
    response = await fetch(`/paint?${parameters}`, { method: "POST", body: photo.file, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer; is `neuralart serve` still running?");
  }
  if (!response.ok) throw new Error((await response.json()).error);
  return response.blob();
}

async function paint() {
  offerSecond();
  running?.abort();
  if (!photo) return;
  complain("");
  const parameters = settings();
  const key = parameters.toString();
  const controller = new AbortController();
  running = controller;
  if (paintings.has(key)) {
    finish(key);
    return;
  }
  const begun = performance.now();
  byId("save").hidden = true;
  byId("stop").hidden = false;
  const clock = setInterval(() => {
    byId("seconds").textContent = `${Math.round((performance.now() - begun) / 1000)} s`;
  }, 1000);
  try {
    tell("Painting …");
    if (!photo.edge || photo.edge > 1.5 * PREVIEW_PX) {
      const small = new URLSearchParams(parameters);
      small.set("size", String(PREVIEW_PX));
      small.set("format", "jpg");
      await show(URL.createObjectURL(await request(small, controller.signal)));
      tell("A preview; painting at full size …");
    }
    const painting = await request(parameters, controller.signal);
    const ending = { "image/jpeg": "jpg", "image/webp": "webp" }[painting.type] ?? "png";
    paintings.set(key, { url: URL.createObjectURL(painting), ending });
    if (running === controller) await finish(key);
  } catch (error) {
    if (error.name !== "AbortError" && running === controller) {
      tell("Not painted.");
      complain(error.message);
    }
  } finally {
    clearInterval(clock);
    if (running === controller) {
      byId("stop").hidden = true;
      byId("seconds").textContent = "";
    }
  }
}

async function finish(key) {
  const { url, ending } = paintings.get(key);
  await show(url);
  const stem = photo.file.name.replace(/\.[^.]*$/, "") || "photo";
  const name = new URLSearchParams(key).get("style").replace(/[^\w.-]+/g, "-");
  Object.assign(byId("save"), { href: url, download: `${stem}-${name}.${ending}`, hidden: false });
  byId("stop").hidden = true;
  byId("seconds").textContent = "";
  tell("Painted.");
}

/** Shows a painting, beside the photo if this browser can show that. */
async function show(url) {
  after.src = url;
  await after.decode();
  if (!photo.edge) frame.style.setProperty("--ratio", after.naturalWidth / after.naturalHeight);
  after.hidden = false;
  after.classList.toggle("cut", Boolean(photo.edge));
  divider.hidden = !photo.edge;
  byId("empty").hidden = true;
  frame.hidden = false;
}

// ---- the photo ----------------------------------------------------------------------------------

async function take(file) {
  if (!file) return;
  running?.abort();
  if (file.size > about.most_bytes) {
    complain(`“${file.name}” has ${(file.size / 1e6).toFixed(0)} MB; at most ` +
      `${about.most_bytes / 1e6} MB are painted here.`);
    return;
  }
  for (const { url } of paintings.values()) URL.revokeObjectURL(url);
  paintings.clear();
  if (photo) URL.revokeObjectURL(before.src);
  photo = { file, edge: 0 };
  after.hidden = true;
  byId("save").hidden = true;
  divider.hidden = true;
  before.src = URL.createObjectURL(file);
  try {
    await before.decode();
    photo.edge = Math.max(before.naturalWidth, before.naturalHeight);
    frame.style.setProperty("--ratio", before.naturalWidth / before.naturalHeight);
  } catch {
    // A kind of picture that this browser cannot show, as TIFF, or no picture: the server says.
  }
  before.hidden = !photo.edge;
  byId("empty").hidden = Boolean(photo.edge);
  frame.hidden = !photo.edge;
  await paint();
}

byId("file").addEventListener("change", () => take(byId("file").files[0]));
addEventListener("paste", (event) => take(event.clipboardData?.files[0]));

const drop = byId("drop");
for (const kind of ["dragenter", "dragover"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take(event.dataTransfer?.files[0]);
});

// ---- controls -----------------------------------------------------------------------------------

divider.addEventListener("input", () => frame.style.setProperty("--cut", `${divider.value}%`));
for (const id of ["styles", "second", "share", "strength", "colours"]) {
  byId(id).addEventListener("change", () => {
    clearTimeout(timer);
    timer = setTimeout(paint, SETTLE_MS);
  });
}
byId("stop").addEventListener("click", () => {
  running?.abort();
  byId("stop").hidden = true;
  byId("seconds").textContent = "";
  tell("Stopped.");
});
offerSecond();
