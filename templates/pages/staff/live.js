(() => {
  "use strict";
  const place = document.querySelector("[data-live]");
  let isLate = false;
  let asking, again, events;
  let every = 0;
  // What somebody is about to use must not move under their hand, nor what they have typed go.
  const isTyped = (field) => field.matches("select")
    ? [...field.options].some((one, nth) => one.selected !== (one.defaultSelected || nth === 0))
    : field.type !== "hidden" && field.value !== field.defaultValue;
  const isInUse = () => {
    const active = document.activeElement;
    // What has a name of its own is only read, and is opened again.
    return place.querySelector("details[open]:not([id])") !== null ||
      (place.contains(active) && active.matches("input, textarea, select")) ||
      [...place.querySelectorAll("input, textarea, select")].some(isTyped);
  };
  const renew = async () => {
    if (isInUse()) { isLate = true; return; }
    isLate = false;
    let answer;
    try {
      answer = await fetch(location.href, { headers: { "X-Live": "yes" }, redirect: "manual" });
    } catch { return; }
    if (answer.type === "opaqueredirect") { location.reload(); return; }
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.querySelector("[data-live]");
    if (next === null || isInUse()) { isLate = next !== null; return; }
    const active = document.activeElement;
    const row = active && place.contains(active) ? active.closest("[id]") : null;
    const spot = row ? [...row.querySelectorAll("a, button, summary")].indexOf(active) : -1;
    const open = [...place.querySelectorAll("details[open]")].map((one) => one.id);
    place.replaceChildren(...next.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (spot >= 0) document.getElementById(row.id)?.querySelectorAll("a, button, summary")[spot]?.focus();
  };
  // The same again does not begin the wait anew: a stream that fails every two seconds would
  // otherwise put the next look off for ever.
  const ask = (milliseconds) => {
    if (milliseconds === every) return;
    every = milliseconds;
    clearInterval(asking);
    if (every) asking = setInterval(renew, every);
  };
  // A page that nobody looks at asks nothing: a browser opens few connections to one host, and
  // those of other tabs must not keep this one waiting.
  const watch = () => {
    events?.close();
    clearTimeout(again);
    ask(document.hidden ? 0 : 5000);
    if (document.hidden) return;
    if (!("EventSource" in window)) { renew(); return; }
    events = new EventSource("/staff/events");
    events.addEventListener("changed", renew);
    events.addEventListener("ended", () => location.reload());
    events.addEventListener("open", () => { ask(60000); renew(); });
    events.addEventListener("error", () => {
      ask(5000);
      // It was refused, and the browser does not try again: we may be signed out, or it restarts.
      if (events.readyState === EventSource.CLOSED) { renew(); again = setTimeout(watch, 30000); }
    });
  };
  watch();
  document.addEventListener("visibilitychange", watch);
  document.addEventListener("focusout", () => { if (isLate) setTimeout(renew); });
  document.addEventListener("toggle", () => { if (isLate) setTimeout(renew); }, true);
})();
