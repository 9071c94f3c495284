// What makes the pages more pleasant where there is JavaScript. Nothing needs it.
(() => {
  const root = document.documentElement;
  const network = () => root.classList.toggle("is-offline", !navigator.onLine);
  addEventListener("online", network);
  addEventListener("offline", network);
  network();
  if ("serviceWorker" in navigator) navigator.serviceWorker.register("/worker.js");

  // Nothing of a customer's stays on a phone where nobody is signed in.
  const forget = () => "caches" in window && caches.delete("pages-1");
  if (!document.querySelector(".nav")) forget();

  // A form that was sent is not sent again by a second tap.
  addEventListener("submit", (e) => {
    const form = e.target;
    if (form.dataset.sent) return e.preventDefault();
    form.dataset.sent = "1";
    if (form.action.endsWith("/signout")) forget();
    setTimeout(() => delete form.dataset.sent, 4000);
    if (form.dataset.queue && !navigator.onLine) {
      e.preventDefault();
      queue(form);
    }
  });
  addEventListener("pageshow", () => document.querySelectorAll("form").forEach((f) => delete f.dataset.sent));

  // A report without network is kept, and sent once when the network is back. The
  // server takes the same report twice for one.
  const kept = () => JSON.parse(localStorage.getItem("reports") || "[]");
  const keep = (list) => localStorage.setItem("reports", JSON.stringify(list));
  function queue(form) {
    keep([...kept(), { to: form.action, body: new URLSearchParams(new FormData(form)).toString() }]);
    const note = document.createElement("div");
    note.className = "note wait";
    note.setAttribute("role", "status");
    note.textContent = form.dataset.kept;
    form.replaceWith(note);
  }
  let busy = false;
  async function flush() {
    if (busy || !navigator.onLine || !kept().length) return;
    busy = true;
    try {
      for (let next; (next = kept()[0]); keep(kept().slice(1))) {
        const form = await fetch(next.to); // for a token that is good now
        if (form.redirected || form.status >= 500) break; // who signs in again sends it
        const token = new DOMParser().parseFromString(await form.text(), "text/html").querySelector("[name=token]");
        const body = new URLSearchParams(next.body);
        if (token) body.set("token", token.value);
        const answer = await fetch(next.to, { method: "POST", body });
        if (answer.status >= 500) break;
        if (answer.ok && location.href.startsWith(next.to.replace(/report$/, "").slice(0, -1))) location.replace(answer.url);
      }
    } catch { /* the network went again */ }
    busy = false;
  }
  addEventListener("online", flush);
  flush();

  // What is shown without network is what was seen last, and a problem can be
  // reported then.
  const again = (path) => "caches" in window && caches.open("pages-1").then((c) => c.add(path)).catch(() => {});
  addEventListener("htmx:sseMessage", () => again(location.pathname));
  const report = document.querySelector("a[data-ahead]");
  if (report && !(navigator.connection && navigator.connection.saveData)) addEventListener("load", () => setTimeout(() => again(report.pathname), 1000));

  // Push messages, where the browser and the server have them.
  const push = document.querySelector("[data-push]");
  if (push && push.dataset.push && "PushManager" in window) {
    const button = push.querySelector("button");
    const token = document.querySelector("[name=token]").value;
    const tell = async (subscription, on) => {
      const answer = await fetch("/push", { method: "POST",
        body: new URLSearchParams({ token, do: on ? "on" : "off", subscription: JSON.stringify(subscription) }) });
      if (!answer.ok) throw new Error(answer.statusText);
    };
    navigator.serviceWorker.ready.then(async (worker) => {
      let subscription = await worker.pushManager.getSubscription();
      const show = () => { button.textContent = subscription ? button.dataset.off : button.dataset.on; };
      show();
      push.hidden = false;
      button.addEventListener("click", async () => {
        try {
          if (subscription) {
            await tell(subscription, false);
            await subscription.unsubscribe();
            subscription = null;
          } else {
            subscription = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: push.dataset.push });
            await tell(subscription, true);
          }
          show();
        } catch { button.textContent = button.dataset.denied; }
      });
    });
  }
})();
