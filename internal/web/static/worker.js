// Keeps the last pages that were seen, so that they can be read without network:
// each says when it was seen. Nothing is bought from what is kept.
const cache = "pages-1";
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (e) => e.waitUntil((async () => {
  for (const name of await caches.keys()) if (name !== cache) await caches.delete(name);
  await self.clients.claim();
})()));
const readable = (path) => path === "/" || path === "/help" || path === "/offline" || /^\/purchases(\/[^/]+(\/report)?)?$/.test(path);
self.addEventListener("fetch", (e) => {
  const url = new URL(e.request.url);
  if (e.request.method !== "GET" || url.origin !== location.origin) return;
  if (url.pathname.startsWith("/static/")) return e.respondWith(first(e.request));
  if (e.request.mode === "navigate") e.respondWith(fresh(e.request, url.pathname));
});
async function first(request) {
  const kept = await caches.match(request);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) (await caches.open(cache)).put(request, answer.clone());
  return answer;
}
async function fresh(request, path) {
  try {
    const answer = await fetch(request);
    if (answer.ok && readable(path)) (await caches.open(cache)).put(path, answer.clone());
    return answer;
  } catch {
    return (await caches.match(path)) || (await caches.match("/offline")) || Response.error();
  }
}
self.addEventListener("push", (e) => {
  const told = e.data ? e.data.json() : {};
  e.waitUntil(self.registration.showNotification(told.title || "", { body: told.text, tag: told.tag, data: told.path }));
});
self.addEventListener("notificationclick", (e) => {
  e.notification.close();
  e.waitUntil(self.clients.openWindow(e.notification.data || "/"));
});
