"use strict";
// A page that says so is fetched again by itself, and its main part replaced, so that it tells how it is now.
(() => {
  const every = Number(document.body.dataset.live || 0) * 1000;
  if (!every) return;
  const again = async () => {
    if (document.hidden) return;
    const main = document.getElementById("main");
    try {
      const answer = await fetch(location.href, { headers: { "Tenu-By-Itself": "1" } });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
      if (fresh && !main.contains(document.activeElement)) main.replaceChildren(...fresh.childNodes);
      document.body.classList.remove("stale");
    } catch {
      document.body.classList.add("stale");
    }
  };
  setInterval(again, every);
})();
