/**
 * The service worker; the build writes it as sw.js.
 *
 * It keeps the page, the runtime and the models, so that the page opens without network. It also
 * adds headers to every answer, since few static servers send them: without them a browser shares no
 * memory between threads, and workers may load from anywhere.
 */

/** The page's files and their checksum, set by the build (vite.config.ts). */
declare const FILES: string[];
declare const BUILD: string;
/** What the page and its workers may load, set by the build (policy.ts). */
declare const POLICY: string;

const scope = self as unknown as ServiceWorkerGlobalScope;

/** Several of these pages on one host share its caches; the prefix is this page's own. */
const PREFIX = `neuralart ${scope.registration.scope} `;
/** The cache of the page's files: a new one for each build. */
const PAGE = `${PREFIX}${BUILD}`;
/** The cache of runtime and models, whose addresses change with their content. */
const THINGS = `${PREFIX}things`;

/** Also on the page itself, whose policy its workers have. */
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

/** What is being fetched for a cache, by its address. */
const pending = new Map<string, Promise<void>>();

/** Adds an answer to a cache, unless it is there. Two that ask at once share one download. */
async function add(name: string, request: Request): Promise<void> {
  const cache = await caches.open(name);
  if (await cache.match(request, { ignoreVary: true })) return;
  let adding = pending.get(request.url);
  if (!adding) {
    adding = cache.add(request).finally(() => pending.delete(request.url));
    pending.set(request.url, adding);
  }
  await adding;
}

/** For what has its version in its address: asks the cache first, and fills it. */
async function keptThing(request: Request): Promise<Response> {
  try {
    await add(THINGS, request);
  } catch {
    return fetch(request); // there is no room, or no such file
  }
  const kept = await caches.match(request, { ignoreVary: true });
  return kept ?? fetch(request);
}

async function answerTo(request: Request): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  const changes =
    request.mode === "navigate" ||
    pathname.endsWith("/models.json") ||
    pathname.endsWith("/index.html");
  if (changes) return isolated(await newest(request));
  if (searchParams.has("v")) return isolated(await keptThing(request));
  const kept = await caches.match(request, { ignoreVary: true });
  return isolated(kept ?? (await fetch(request)));
}

/** Makes the caches hold the page's files and these addresses, and no other things. */
async function keep(addresses: string[]): Promise<void> {
  const cache = await caches.open(THINGS);
  for (const { url } of await cache.keys()) if (!addresses.includes(url)) await cache.delete(url);
  for (const address of addresses) await add(THINGS, new Request(address));
  await keepPage("default");
}

async function keepPage(mode: RequestCache): Promise<void> {
  for (const file of ["./", "models/models.json", ...FILES]) {
    await add(PAGE, new Request(new URL(file, scope.registration.scope), { cache: mode }));
  }
}

scope.addEventListener("install", (event) => {
  void scope.skipWaiting();
  // On a first visit the page asks to keep its files once it runs: those that came through this
  // worker by then are not fetched again. An update fetches them now, since it drops the old ones.
  if (scope.registration.active) event.waitUntil(keepPage("reload"));
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
