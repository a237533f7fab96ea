/**
 * The service worker, in the build as sw.js.
 *
 * It keeps the page, the runtime and the models, so that the page opens without network; and it adds the two
 * headers to every answer without which a browser shares no memory between threads, because few static
 * servers send them.
 */

/** Put in by the build (vite.config.ts): the page's files, whose names change with what is in them. */
declare const FILES: string[];

const scope = self as unknown as ServiceWorkerGlobalScope;

/** A host may have several of these pages, and all their caches are in one place. */
const PREFIX = `neuralart ${scope.registration.scope} `;
/** The page's files; replaced by each build. */
const PAGE = `${PREFIX}${FILES.join(" ")}`;
/** Runtime and models, whose addresses change with what is in them. */
const THINGS = `${PREFIX}things`;

const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "cross-origin",
};

function isolated(answer: Response): Response {
  if (answer.type === "opaque" || answer.type === "error") return answer;
  const headers = new Headers(answer.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  const { status, statusText } = answer;
  return new Response(answer.body, { status, statusText, headers });
}

/** Things that may change under the same address: from the network while there is one. */
async function newest(request: Request): Promise<Response> {
  try {
    const answer = await fetch(request);
    if (answer.ok) {
      const cache = await caches.open(PAGE);
      await cache.put(request, answer.clone());
    }
    return answer;
  } catch (error) {
    const kept = await caches.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}

async function answerTo(request: Request): Promise<Response> {
  const path = new URL(request.url).pathname;
  const changes =
    request.mode === "navigate" || path.endsWith("/models.json") || path.endsWith("/index.html");
  if (changes) return isolated(await newest(request));
  const kept = await caches.match(request, { ignoreVary: true });
  return isolated(kept ?? (await fetch(request)));
}

/** Have all of these and nothing else. */
async function keep(addresses: string[]): Promise<void> {
  const cache = await caches.open(THINGS);
  for (const { url } of await cache.keys()) if (!addresses.includes(url)) await cache.delete(url);
  for (const address of addresses) if (!(await cache.match(address))) await cache.add(address);
}

scope.addEventListener("install", (event) => {
  const files = ["./", "models/models.json", ...FILES].map(
    (file) => new Request(file, { cache: "reload" }),
  );
  event.waitUntil(caches.open(PAGE).then((cache) => cache.addAll(files)));
  void scope.skipWaiting();
});

scope.addEventListener("activate", (event) => {
  const clear = async () => {
    const names = await caches.keys();
    const mine = names.filter((name) => name.startsWith(PREFIX));
    const old = mine.filter((name) => name !== PAGE && name !== THINGS);
    await Promise.all(old.map((name) => caches.delete(name)));
    await scope.clients.claim();
  };
  event.waitUntil(clear());
});

scope.addEventListener("message", (event) => {
  const { keep: addresses } = event.data as { keep: string[] };
  // Kept as far as it went; the next visit goes on.
  const tell = async () => {
    await keep(addresses);
    event.source?.postMessage("kept");
  };
  event.waitUntil(tell().catch(() => {}));
});

scope.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && event.request.url.startsWith("http")) {
    event.respondWith(answerTo(event.request));
  }
});
