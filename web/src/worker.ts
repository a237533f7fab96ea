/** The worker that paints: it measures the statistics of a picture, then paints it in tiles. */

import type * as Ort from "onnxruntime-web";
import { checksum } from "./checksum";
import type { Model } from "./manifest";
import { cut, fromPlanes, grown, shrink, sizeWithin, toPlanes } from "./pixels";
import type { Answer, Budget, Failure, PaintRequest, Picture, Provider } from "./protocol";
import { loadRuntime, openSession, threads } from "./runtime";
import { type Box, bestTiling } from "./tiles";

let runtime: Promise<typeof Ort> | undefined;
let opened: { key: string; session: Ort.InferenceSession } | undefined;

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

function failureOf(error: unknown, provider: Provider): Failure {
  if (error instanceof Failed) return error.failure;
  const text = String(error);
  // An allocation may fail as a C++ exception (a bare number, without its text), as an abort of the
  // module, or as the runtime's own error.
  if (/memory|bad_alloc|alloc|abort|^\d+$/i.test(text) || error instanceof RangeError) {
    return "memory";
  }
  return provider === "webgpu" ? "gpu" : "model";
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

async function sessionFor(request: PaintRequest): Promise<[typeof Ort, Ort.InferenceSession]> {
  const { model, provider } = request;
  const key = `${provider} ${model.file}`;
  const source = opened?.key === key ? opened.session : fetchModel(model);
  if (source instanceof Promise) source.catch(() => {}); // awaited below, where it throws again
  runtime ??= loadRuntime(request.page);
  let ort: typeof Ort;
  try {
    ort = await runtime;
  } catch (error) {
    throw new Failed("runtime", error);
  }
  if (!(source instanceof Promise)) return [ort, source];
  await opened?.session.release();
  opened = undefined;
  opened = { key, session: await openSession(ort, await source, provider) };
  if (provider === "webgpu") {
    const device = await ort.env.webgpu.device;
    device?.lost?.then(() =>
      post({ type: "failed", failure: "gpu", detail: "the device was lost" }),
    );
  }
  return [ort, opened.session];
}

type Run = (photo: Picture, statistics?: Float32Array) => Promise<Painted>;

interface Painted {
  stages: Uint8Array<ArrayBuffer>[];
  statistics: Float32Array;
}

function runner(
  ort: typeof Ort,
  session: Ort.InferenceSession,
  { model, mixture }: PaintRequest,
): Run {
  const weights = Float32Array.from(mixture);
  return async (photo, statistics) => {
    const { width, height } = photo;
    const given = statistics ?? new Float32Array(2 * model.statistics);
    const outputs = await session.run({
      image: new ort.Tensor("float32", toPlanes(photo.rgb), [1, 3, height, width]),
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

function roundUp(pixels: number, multiple: number): number {
  return Math.ceil(pixels / multiple) * multiple;
}

/** The most pixels of a tile: at least (3 * reach)², so that the overlaps leave reach². */
function tilePixels(budget: Budget, model: Model): number {
  return Math.max(budget.tile, (3 * model.reach) ** 2);
}

async function paint(request: PaintRequest): Promise<void> {
  const { model, photo, budget, provider } = request;
  const [ort, session] = await sessionFor(request);
  const run = runner(ort, session, request);
  const count = threads();
  const processor = count > 1 ? `the processor, ${count} threads` : "the processor, one thread";
  post({ type: "engine", text: provider === "webgpu" ? "the graphics card" : processor });

  const most = Math.min(model.measured_pixels, budget.measured ?? Infinity);
  const isWhole = photo.width * photo.height <= most;
  const size = sizeWithin(photo.width, photo.height, most);
  const [width, height] = isWhole ? size : size.map((edge) => roundUp(edge, model.multiple));
  const largest = tilePixels(budget, model);
  const tiles = isWhole
    ? []
    : bestTiling(photo.width, photo.height, model.reach, model.multiple, largest);

  const areas = [width * height, ...tiles.map(({ computed }) => computed.width * computed.height)];
  const total = areas.reduce((sum, area) => sum + area, 0);
  let pace = 0; // seconds per pixel
  let done = 0;
  const timed = async (pixels: Picture, statistics?: Float32Array) => {
    const area = pixels.width * pixels.height;
    post({ type: "progress", done: done / total, next: area / total, seconds: pace * area });
    const begun = performance.now();
    const painted = await run(pixels, statistics);
    pace = (performance.now() - begun) / 1000 / area;
    done += area;
    return painted;
  };

  const small = grown(shrink(photo, width, height), model.minimum);
  const measured = await timed(small);
  const whole: Box = { left: 0, top: 0, width, height };
  const stages = measured.stages.map((rgb) => cut({ ...small, rgb }, whole));
  if (isWhole) post({ type: "tile", box: whole, stages });
  else post({ type: "preview", width, height, stages });
  for (const { computed, kept } of tiles) {
    const { width, height } = computed;
    const tile = { width, height, rgb: cut(photo, computed) };
    const { stages } = await timed(tile, measured.statistics);
    const box = { ...kept, left: kept.left - computed.left, top: kept.top - computed.top };
    post({
      type: "tile",
      box: kept,
      stages: stages.map((rgb) => cut({ width, height, rgb }, box)),
    });
  }
  post({ type: "done" });
}

addEventListener("message", async ({ data: request }: MessageEvent<PaintRequest>) => {
  try {
    await paint(request);
  } catch (error) {
    post({
      type: "failed",
      failure: failureOf(error, request.provider),
      detail: error instanceof Error ? error.message : String(error),
    });
  }
});
