// What the console does beside its forms: keys, what changes while it is looked at,
// charts. Nothing here decides anything.
(() => {
  const $ = (s, e = document) => e.querySelector(s);
  const $$ = (s, e = document) => [...e.querySelectorAll(s)];
  const typing = (e) => e && /^(INPUT|TEXTAREA|SELECT)$/.test(e.tagName) && !/^(checkbox|radio)$/.test(e.type);

  // What changed elsewhere replaces what is shown, but never what somebody is typing or
  // has marked: that is looked at again a little later.
  const filled = (f) => /^(checkbox|radio)$/.test(f.type) ? f.checked !== f.defaultChecked : f.tagName === "SELECT" ? [...f.options].some((o) => o.selected !== o.defaultSelected && o.index > 0) : f.value !== f.defaultValue;
  const busy = (part) => $$("textarea, select, input:not([type=hidden])", part).some(filled) || $$("details[open]", part).length > 0 || (typing(document.activeElement) && part.contains(document.activeElement));
  let again;
  const current = new Map(); // where the row was that is at hand, by the part that holds it
  document.addEventListener("htmx:oobBeforeSwap", (e) => {
    const part = e.detail.target;
    const text = (x) => x.innerHTML.replace(/name="seen" value="\d+"/g, "");
    const same = e.detail.fragment && [...e.detail.fragment.children].some((x) => x.id === part.id && text(x) === text(part));
    if (!same && (!busy(part) || $("form[data-sent]", part))) { // what somebody asked for there is shown
      current.set(part.id, $$("[data-row]", part).findIndex((r) => r.classList.contains("at")));
      return;
    }
    e.detail.shouldSwap = false;
    if (!same) {
      clearTimeout(again);
      again = setTimeout(() => $$("[hx-trigger^='sse:changed'], [hx-trigger='sse:telephone']").forEach((x) => htmx.trigger(x, x.getAttribute("hx-trigger").split(",")[0])), 5000);
    }
  });
  document.addEventListener("htmx:oobAfterSwap", (e) => {
    const now = document.getElementById(e.detail.target.id);
    if (!now || !e.detail.shouldSwap) return;
    const row = $$("[data-row]", now)[current.get(now.id)];
    if (row) row.classList.add("at");
    now.classList.add("fresh");
    setTimeout(() => now.classList.remove("fresh"), 1600);
  });
  // What the page fetches by itself is no sign of a person.
  document.addEventListener("htmx:configRequest", (e) => {
    if (e.detail.elt.matches("[hx-trigger^='sse:']")) e.detail.headers["Tenu-By-Itself"] = "1";
  });

  // The person was signed out elsewhere: the page leads to the sign-in, unless that loses something.
  document.addEventListener("htmx:sseClose", (e) => {
    if (e.detail.type === "message" && !$$("main textarea, main input:not([type=hidden])").some(filled)) location.reload();
  });

  // A page that is left looks no more; one that comes back from the browser's memory is fetched again.
  let source;
  document.addEventListener("htmx:sseOpen", (e) => { source = e.detail.source; });
  addEventListener("pagehide", () => source && source.close());
  addEventListener("pageshow", (e) => e.persisted && location.reload());

  // The telephone: the time after a call counts down. The customer on the line opens by itself, once, on a page that is
  // looked at and where that loses nothing; otherwise by a key, beside what is being written.
  const writing = () => busy(document.body) || $(".note[role=alert]") !== null;
  const openCaller = () => {
    const caller = $("#telephone [data-caller]");
    if (caller) caller.click();
    return caller !== null;
  };
  const pop = () => {
    const caller = $("#telephone [data-pops]");
    if (!caller || document.visibilityState !== "visible" || localStorage.getItem("caller") === caller.dataset.caller) return;
    localStorage.setItem("caller", caller.dataset.caller);
    if (!writing() && location.pathname !== caller.pathname) caller.click();
  };
  let ticking;
  const telephone = () => {
    clearInterval(ticking);
    const timer = $("#telephone [data-left]");
    if (timer) {
      const till = performance.now() + timer.dataset.left * 1000;
      ticking = setInterval(() => { timer.textContent = timer.textContent.replace(/\d+/, Math.max(0, Math.ceil((till - performance.now()) / 1000))); }, 500);
    }
    pop();
  };
  document.addEventListener("submit", (e) => {
    if (e.target.matches("#telephone .moves") && !e.target.dataset.sent) { // the page stays, with what is written on it
      e.preventDefault();
      htmx.ajax("POST", e.target.action, { source: "#moves", swap: "none", values: { ...Object.fromEntries(new FormData(e.target)), do: e.submitter.value } });
    }
  });
  document.addEventListener("click", (e) => {
    const caller = e.target.closest("[data-caller]");
    if (!caller) return;
    localStorage.setItem("caller", caller.dataset.caller);
    caller.target = writing() ? "_blank" : "";
  });
  document.addEventListener("htmx:oobAfterSwap", (e) => {
    if (e.detail.target.id !== "telephone") return;
    if ($("form[data-sent]", e.detail.target) && document.activeElement === document.body) $("#telephone button").focus();
    telephone();
  });
  document.addEventListener("visibilitychange", pop);
  telephone();

  // Keys: g and a letter go somewhere, j and k move, Enter opens.
  let going = false;
  const rows = () => $$("[data-row]");
  const at = () => rows().findIndex((r) => r.classList.contains("at"));
  const move = (by) => {
    const all = rows();
    if (!all.length) return;
    const next = Math.max(0, Math.min(all.length - 1, at() + by));
    all.forEach((r, i) => r.classList.toggle("at", i === next));
    all[next].scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (e) => {
    if (e.altKey && e.code === "KeyO" && openCaller()) return e.preventDefault(); // while writing, too
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === "Escape") { document.activeElement.blur(); going = false; return; }
    if (typing(document.activeElement)) return;
    if (going) {
      going = false;
      const to = $(`[data-key="${CSS.escape(e.key)}"]`);
      if (to) { e.preventDefault(); to.click(); }
      return;
    }
    const row = rows()[at()];
    const act = {
      "/": () => { const q = $("#q"); q.focus(); q.select(); },
      "?": () => { location.href = "/keys"; },
      g: () => { going = true; },
      j: () => move(1),
      k: () => move(-1),
      Enter: () => row && $("a", row) && $("a", row).click(),
      a: () => row && $("button[value=approve]", row) && $("button[value=approve]", row).click(),
      r: () => row && $("input[name=why]", row) && $("input[name=why]", row).focus(),
      x: () => row && $("input[type=checkbox]", row) && $("input[type=checkbox]", row).click(),
      t: () => $("[data-take]") && $("[data-take]").click(),
      o: openCaller,
      n: () => $("#text") && $("#text").focus(),
    }[e.key];
    if (!act || (e.key === "Enter" && document.activeElement !== document.body && document.activeElement.id !== "main")) return;
    e.preventDefault();
    act();
  });

  // A form that was sent is not sent again by a second click.
  document.addEventListener("submit", (e) => {
    if (e.target.dataset.sent) return e.preventDefault();
    e.target.dataset.sent = "1";
    setTimeout(() => delete e.target.dataset.sent, 3000);
  });

  // How long a message to the customer is.
  const count = (box) => { const out = $("[data-count]"); if (out) out.textContent = box.value.length ? `${box.value.length}/140` : ""; };
  document.addEventListener("input", (e) => e.target.matches("[data-sms]") && count(e.target));
  document.addEventListener("change", (e) => {
    if (!e.target.matches("[data-macro]") || !e.target.value) return;
    const box = $("#text");
    box.value = (box.value + " " + e.target.value).trim();
    e.target.value = "";
    count(box);
    box.focus();
  });

  // Charts, drawn in the colours of the page; the table below holds the same.
  const draw = async (box) => {
    if (!window.uPlot) return;
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue("--" + name).trim();
    const answer = await fetch(box.dataset.chart);
    if (!answer.ok) return;
    const all = await answer.json();
    if (!all[0]) return;
    const series = box.dataset.series.split(",").map((s) => s.split(":"));
    const two = (n) => String(n).padStart(2, "0");
    const clock = (t) => { const d = new Date(t * 1000); return `${two(d.getHours())}:${two(d.getMinutes())}`; };
    const day = (t) => { const d = new Date(t * 1000); return `${two(d.getDate())}/${two(d.getMonth() + 1)}`; };
    const span = all[0].at(-1) - all[0][0];
    const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") } };
    box.replaceChildren();
    new uPlot({
      width: box.clientWidth, height: 200, cursor: { y: false }, legend: { live: false },
      scales: { y: { range: (u, min, max) => [0, Math.max(max, 4)] } },
      axes: [{ ...axis, values: (u, ts) => ts.map(span > 2 * 86400 ? day : clock) }, { ...axis, size: 36, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10000] }],
      series: [{ label: "", value: (u, t) => (t ? `${day(t)} ${clock(t)}` : "") }, ...series.map(([, label, tone]) => ({ label, stroke: colour(tone), width: 2, points: { show: false } }))],
    }, [all[0], ...series.map(([i]) => all[i])], box);
  };
  const charts = () => $$("[data-chart]").forEach(draw);
  if ($("[data-chart]")) {
    charts();
    setInterval(charts, 30000);
    addEventListener("resize", charts);
  }
})();
