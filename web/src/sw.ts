/**
 * The service worker; the build writes it as sw.js.
 *
 * It keeps the page, the runtime and the models, so that the page opens without network. It also
 * adds headers to every answer, since few static servers send them: without them a browser shares no
 * memory between threads, and workers may load from anywhere.
 */

/** The page's files, set by the build (vite.config.ts). Their names change with their content. */
declare const FILES: string[];
/** What the page and its workers may load, set by the build (policy.ts). */
declare const POLICY: string;

const scope = self as unknown as ServiceWorkerGlobalScope;

/** Several of these pages on one host share its caches; the prefix is this page's own. */
const PREFIX = `neuralart ${scope.registration.scope} `;
/** The cache of the page's files: a new one for each build. */
const PAGE = `${PREFIX}${FILES.join(" ")}`;
/** The cache of runtime and models, whose addresses change with their content. */
const THINGS = `${PREFIX}things`;

/** Workers have no other policy than that of their own file's headers. */
const ADDED = {
  "Content-Security-Policy": POLICY,
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "cross-origin",
};

function isolated(answer: Response): Response {
  if (answer.type === "opaque" || answer.type === "error") return answer;
  const headers = new Headers(answer.headers);
  for (const [name, value] of Object.entries(ADDED)) headers.set(name, value);
  const { status, statusText } = answer;
  return new Response(answer.body, { status, statusText, headers });
}

/** For what may change at the same address: asks the network first, then the cache. */
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

/** Makes the cache hold these addresses and no others. */
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
  // What was kept before an error stays; the next visit fetches the others.
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
