/** The worker that paints: coat by coat, it measures the statistics of a picture, then paints tiles. */

import type * as Ort from "onnxruntime-web";
import { checksum } from "./checksum";
import { coatSizes, mixed, Underpainting } from "./coats";
import { addGrain } from "./grain";
import type { Model } from "./manifest";
import { Pace } from "./pace";
import {
  cut,
  fromPlanes,
  grown,
  meanDifference,
  measuredSize,
  paste,
  shrink,
  sizeWithin,
  toPlanes,
} from "./pixels";
import type {
  Answer,
  Budget,
  Engine,
  Failure,
  PageRequest,
  PaintRequest,
  Picture,
  PrepareRequest,
  Provider,
} from "./protocol";
import { loadRuntime, openSession, threads } from "./runtime";
import { type Box, bestTiling, type Tile } from "./tiles";

/** The pixels of the first picture that is shown: 256 x 192. */
const PREVIEW_PIXELS = 49_152;

/** The edge of the picture that tells which engine is faster. */
const TRIED_EDGE = 160;

/** The largest mean difference, of 255, between what two engines paint: sums in another order. */
const MOST_DIFFERENCE = 2;

let runtime: Promise<typeof Ort> | undefined;
let opened: { provider: Provider; file: string; session: Ort.InferenceSession } | undefined;
/** What was fastest. */
let fastest: Provider | undefined;

/** Posts an answer. Its pictures are handed over, not copied. */
function post(answer: Answer): void {
  const buffers = "stages" in answer ? answer.stages.map((stage) => stage.buffer) : [];
  postMessage(answer, { transfer: buffers });
}

/** An error of a kind that the page knows. */
class Failed extends Error {
  constructor(
    readonly failure: Failure,
    cause: unknown,
  ) {
    super(cause instanceof Error ? cause.message : String(cause));
  }
}

function failureOf(error: unknown, engine: Engine): Failure {
  if (error instanceof Failed) return error.failure;
  const text = String(error);
  // An allocation may fail as a C++ exception (a bare number, without its text), as an abort of the
  // module, or as the runtime's own error.
  if (/memory|bad_alloc|alloc|abort|^\d+$/i.test(text) || error instanceof RangeError) {
    return "memory";
  }
  return (engine === "fastest" ? fastest : engine) === "webgpu" ? "gpu" : "model";
}

async function fetchFile(address: string, cache: RequestCache): Promise<Uint8Array> {
  let answer: Response;
  try {
    answer = await fetch(address, { cache });
  } catch (error) {
    throw new Failed("offline", error);
  }
  if (!answer.ok) throw new Failed("model", `${answer.status} ${answer.statusText}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Fetches a model and checks its sum. What a cache has damaged is fetched again, once. */
async function fetchModel({ file, sha256 }: Model): Promise<Uint8Array> {
  let data = await fetchFile(file, "default");
  if (checksum(data) === sha256) return data;
  await forget(file);
  data = await fetchFile(file, "reload");
  if (checksum(data) !== sha256) throw new Failed("model", "its checksum is another one");
  return data;
}

/** Removes an address from the caches of the service worker, where there are any. */
async function forget(address: string): Promise<void> {
  if (!("caches" in self)) return;
  for (const name of await caches.keys()) await (await caches.open(name)).delete(address);
}

async function open(ort: typeof Ort, data: Uint8Array, provider: Provider) {
  const session = await openSession(ort, data, provider);
  if (provider === "webgpu") {
    const device = await ort.env.webgpu.device;
    device?.lost?.then(() => {
      // The release of the last session on the graphics card also ends the device.
      if (opened?.session !== session) return;
      post({ type: "failed", failure: "gpu", detail: "the device was lost" });
    });
  }
  return session;
}

type Opened = [typeof Ort, Ort.InferenceSession];

async function sessionFor(request: PageRequest): Promise<Opened> {
  const { model, engine } = request;
  const { file } = model;
  const wanted = engine === "fastest" ? fastest : engine;
  const kept = opened?.file === file && opened.provider === wanted ? opened.session : undefined;
  const source = kept ? undefined : fetchModel(model);
  source?.catch(() => {}); // awaited below, where it throws again
  runtime ??= loadRuntime(request.page, request.build);
  let ort: typeof Ort;
  try {
    ort = await runtime;
  } catch (error) {
    runtime = undefined; // the next request tries again
    throw new Failed("runtime", error);
  }
  if (kept || !source) return [ort, kept as Ort.InferenceSession];
  const data = await source;
  const before = opened?.session;
  if (wanted) opened = { provider: wanted, file, session: await open(ort, data, wanted) };
  else opened = { file, ...(await raced(ort, data, request)) };
  await before?.release(); // not earlier: the device of the graphics card stays
  if (engine === "fastest") fastest = opened.provider;
  return [ort, opened.session];
}

function pictureToTry({ minimum }: Model): Picture {
  const edge = Math.max(TRIED_EDGE, minimum);
  const rgb = Uint8Array.from({ length: edge * edge * 3 }, (_, i) => (i * i) % 251);
  return { width: edge, height: edge, rgb };
}

/** Paints a small picture twice. Only the second is timed: the first compiles what it needs. */
async function tried(ort: typeof Ort, session: Ort.InferenceSession, request: PrepareRequest) {
  const picture = pictureToTry(request.model);
  const run = runner(ort, session, request);
  await run(picture);
  const begun = performance.now();
  const { stages } = await run(picture);
  return { took: performance.now() - begun, rgb: stages[stages.length - 1] };
}

/** Opens a model where it paints faster: on the graphics card, if that also paints the same. */
async function raced(
  ort: typeof Ort,
  data: Uint8Array,
  request: PageRequest,
): Promise<{ provider: Provider; session: Ort.InferenceSession }> {
  const asked: PrepareRequest = { ...request, type: "prepare" };
  try {
    const gpu = await open(ort, data, "webgpu");
    const onGpu = await tried(ort, gpu, asked);
    const processor = await open(ort, data, "wasm");
    const onProcessor = await tried(ort, processor, asked);
    const isSame = meanDifference(onGpu.rgb, onProcessor.rgb) <= MOST_DIFFERENCE;
    const isFaster = onGpu.took < onProcessor.took;
    await (isSame && isFaster ? processor : gpu).release();
    if (isSame && isFaster) return { provider: "webgpu", session: gpu };
    return { provider: "wasm", session: processor };
  } catch (error) {
    console.warn("neuralart: not on the graphics card:", error);
    return { provider: "wasm", session: await open(ort, data, "wasm") };
  }
}

/** How to paint a picture: on its own statistics or these, as the part of a photo at a place. */
interface How {
  statistics?: Float32Array;
  left?: number;
  top?: number;
  /** Whether it gets the model's grain. */
  grain?: boolean;
}

type Run = (picture: Picture, how?: How) => Promise<Painted>;

interface Painted {
  stages: Uint8Array<ArrayBuffer>[];
  statistics: Float32Array;
}

function runner(
  ort: typeof Ort,
  session: Ort.InferenceSession,
  { model, mixture }: PageRequest,
): Run {
  const weights = Float32Array.from(mixture);
  return async (photo, { statistics, left = 0, top = 0, grain = true } = {}) => {
    const { width, height } = photo;
    const planes = toPlanes(photo.rgb);
    if (grain) addGrain(planes, width, height, model.grain, left, top);
    const given = statistics ?? new Float32Array(2 * model.statistics);
    const outputs = await session.run({
      image: new ort.Tensor("float32", planes, [1, 3, height, width]),
      statistics: new ort.Tensor("float32", given, [2, model.statistics]),
      frozen: new ort.Tensor("bool", [statistics !== undefined], [1]),
      ...(model.styles > 1 && {
        mixture: new ort.Tensor("float32", weights, [1, model.styles]),
      }),
    });
    const stages = Array.from({ length: model.stages }, (_, k) => outputs[`stage${k + 1}`].data);
    return {
      stages: stages.map((planes) => fromPlanes(planes as Float32Array)),
      // A copy, since the runtime may reuse its own memory.
      statistics: new Float32Array(outputs.measured.data as Float32Array),
    };
  };
}

/** The most pixels of a tile: at least (3 * reach)², so that the overlaps leave reach². */
function tilePixels(budget: Budget, model: Model): number {
  return Math.max(budget.tile, (3 * model.reach) ** 2);
}

function reportEngine(): void {
  if (!opened) return;
  const { provider } = opened;
  const count = threads();
  const processor = count > 1 ? `the processor, ${count} threads` : "the processor, one thread";
  const text = provider === "webgpu" ? "the graphics card" : processor;
  post({ type: "engine", provider, text });
}

/** Loads all that painting needs, and paints a small picture, so that the next begins at once. */
async function prepare(request: PrepareRequest): Promise<void> {
  const [ort, session] = await sessionFor(request);
  await runner(ort, session, request)(pictureToTry(request.model));
  reportEngine();
}

/** How a picture of this size is painted: the copy that it is measured on, and its tiles. */
interface Plan {
  measured: [number, number];
  isWhole: boolean;
  tiles: Tile[];
}

function planOf(width: number, height: number, { model, budget }: PaintRequest): Plan {
  const measured = measuredSize(width, height, model, budget.measured);
  const isWhole = measured[0] === width && measured[1] === height;
  const { reach, multiple } = model;
  const tiles = isWhole
    ? []
    : bestTiling(width, height, reach, multiple, tilePixels(budget, model));
  return { measured, isWhole, tiles };
}

/** Takes a finished part after each stage, and what it was painted on. */
type Keep = (box: Box, stages: Uint8Array<ArrayBuffer>[], source: Uint8Array<ArrayBuffer>) => void;

async function paint(request: PaintRequest): Promise<void> {
  const { model, photo } = request;
  const { over_share, detail_share } = model.strokes;
  const [ort, session] = await sessionFor(request);
  const run = runner(ort, session, request);
  reportEngine();

  const sizes = coatSizes(photo.width, photo.height, model.strokes);
  const plans = sizes.map(([width, height]) => planOf(width, height, request));
  const previewed = sizeWithin(photo.width, photo.height, PREVIEW_PIXELS);
  const area = ([width, height]: [number, number]) => width * height;
  const hasPreview = 2 * area(previewed) < area(plans[0].measured);
  const pace = new Pace([
    ...(hasPreview ? [{ area: area(previewed), isTile: false }] : []),
    ...plans.flatMap(({ measured, tiles }) => [
      { area: area(measured), isTile: false },
      ...tiles.map(({ computed: { width, height } }) => ({ area: width * height, isTile: true })),
    ]),
  ]);
  const timed: Run = async (...picture) => {
    post({ type: "progress", ...pace.next() });
    const begun = performance.now();
    const painted = await run(...picture);
    pace.took((performance.now() - begun) / 1000);
    return painted;
  };

  /** Paints a copy of this size as a picture of its own, at least as large as the model takes. */
  const paintCopy = async (picture: Picture, [width, height]: [number, number], grain = true) => {
    const copy = grown(shrink(picture, width, height), model.minimum);
    const { stages, statistics } = await timed(copy, { grain });
    const box: Box = { left: 0, top: 0, width, height };
    return { stages: stages.map((rgb) => cut({ ...copy, rgb }, box)), statistics };
  };

  /** Paints a picture; `isFirst` tells the first coat, whose copy is shown meanwhile. */
  const paintCoat = async (picture: Picture, plan: Plan, isFirst: boolean, keep: Keep) => {
    const grain = isFirst;
    const [width, height] = plan.measured;
    const { stages, statistics } = await paintCopy(picture, plan.measured, grain);
    if (plan.isWhole) keep({ left: 0, top: 0, width, height }, stages, picture.rgb);
    else if (isFirst) post({ type: "preview", width, height, stages });
    for (const { computed, kept } of plan.tiles) {
      const { left, top, width, height } = computed;
      const tile = { width, height, rgb: cut(picture, computed) };
      const painted = await timed(tile, { grain, statistics, left, top });
      const box = { ...kept, left: kept.left - left, top: kept.top - top };
      keep(
        kept,
        painted.stages.map((rgb) => cut({ width, height, rgb }, box)),
        cut(tile, box),
      );
    }
  };

  if (hasPreview) {
    const [width, height] = previewed;
    const { stages } = await paintCopy(photo, previewed);
    post({ type: "preview", width, height, stages });
  }
  const copies = [photo];
  for (const [width, height] of sizes.slice(0, -1).reverse()) {
    copies.unshift(shrink(copies[0], width, height));
  }
  let coat: Picture[] = [];
  for (const [i, copy] of copies.entries()) {
    const { width, height } = copy;
    const unders = coat.map((painting) => {
      return new Underpainting(painting, copies[i - 1], copy, detail_share);
    });
    const made: Picture[] = [];
    const isLast = i === copies.length - 1;
    const under = unders.pop();
    await paintCoat(under?.whole() ?? copy, plans[i], i === 0, (box, painted, source) => {
      // The first stage goes over the last one's painting. Those of the others stay.
      const others = unders.map((each) => each.part(box));
      const parts = under ? [...others, mixed(source, painted[0], over_share)] : painted;
      if (isLast) return post({ type: "tile", box, stages: parts });
      parts.forEach((rgb, k) => {
        made[k] ??= { width, height, rgb: new Uint8Array(width * height * 3) };
        paste(made[k], box, rgb);
      });
    });
    if (!isLast)
      post({ type: "preview", width, height, stages: made.map(({ rgb }) => rgb.slice()) });
    coat = made;
  }
  post({ type: "done" });
}

async function answer(request: PageRequest): Promise<void> {
  try {
    if (request.type === "paint") await paint(request);
    else await prepare(request);
  } catch (error) {
    if (request.type === "prepare") return; // the request to paint tries again, and reports
    post({
      type: "failed",
      failure: failureOf(error, request.engine),
      detail: error instanceof Error ? error.message : String(error),
    });
  }
}

/** Requests are answered one after the other: two would open the same model twice. */
let answered: Promise<void> = Promise.resolve();

addEventListener("message", ({ data }: MessageEvent<PageRequest>) => {
  answered = answered.then(() => answer(data));
});
