/** Shows a training, and looks for news every few seconds. */

const LOOK_MS = 2500;

const byId = (id) => document.getElementById(id);

/** What is shown now, so that only what changed is loaded again. */
const shown = { curves: null, evaluation: null, style: null };

const get = async (address) => (await fetch(address)).json();

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Puts text into an element, if it is another: a screen reader says it once. */
function write(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

function put(parent, text, kind) {
  const parsed = new DOMParser().parseFromString(text, kind);
  const nodes = kind === "image/svg+xml" ? [parsed.documentElement] : [...parsed.body.childNodes];
  parent.replaceChildren(...nodes.map((node) => document.importNode(node, true)));
}

function showSheets(sheets) {
  const there = new Map([...byId("sheets").children].map((node) => [node.dataset.name, node]));
  const nodes = sheets.map(({ name, label }) => {
    if (there.has(name)) return there.get(name);
    const figure = document.createElement("figure");
    figure.dataset.name = name;
    const image = document.createElement("img");
    Object.assign(image, { src: `/run/samples/${name}`, alt: `Contact sheet: ${label}` });
    image.loading = "lazy";
    const caption = document.createElement("figcaption");
    caption.textContent = label;
    figure.append(image, caption);
    return figure;
  });
  if (nodes.some((node, k) => byId("sheets").children[k] !== node)) {
    byId("sheets").replaceChildren(...nodes);
  }
}

async function look() {
  const state = await get("/run/state.json");
  document.title = `${state.name} – neuralart`;
  write("name", state.name);
  write("state", { running: "Training", stopped: "Stopped", finished: "Finished" }[state.state]);
  const where = [];
  if (state.phase) {
    const photos = state.photos.toLocaleString("en");
    where.push(`${state.phase}, step ${state.step.toLocaleString("en")}`, `${photos} photos`);
    where.push(duration(state.seconds));
    if (state.left !== null) where.push(`about ${duration(state.left)} left`);
  }
  write("where", where.join(" · ") || "The first losses come soon.");
  if (state.style_image !== shown.style) {
    shown.style = state.style_image;
    byId("style").hidden = !state.style_image;
    if (state.style_image) byId("style-image").src = `/run/style.jpg?${state.style_image}`;
    write("style-names", state.styles.join(", "));
  }
  if (state.curves !== shown.curves) {
    shown.curves = state.curves;
    const pictures = Object.values(await get("/run/curves.json")).map((svg) => {
      const box = document.createElement("div");
      put(box, svg, "image/svg+xml");
      return box;
    });
    byId("curves").replaceChildren(...pictures);
  }
  if (state.evaluation !== shown.evaluation) {
    shown.evaluation = state.evaluation;
    put(byId("evaluation"), (await get("/run/evaluation.json")).html, "text/html");
  }
  showSheets(state.sheets);
}

for (;;) {
  try {
    await look();
  } catch {
    write("state", "The server does not answer; is `neuralart serve` still running?");
  }
  await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}
