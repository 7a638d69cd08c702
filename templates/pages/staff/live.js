(() => {
  "use strict";
  const place = document.getElementById("board");
  let isLate = false;
  let asking;
  // What somebody is about to use must not move under their hand.
  const isInUse = () => {
    const active = document.activeElement;
    return place.querySelector("details[open]") !== null ||
      (place.contains(active) && active.matches("input, textarea, select"));
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
    const next = page.getElementById("board");
    if (next === null || isInUse()) { isLate = next !== null; return; }
    const active = document.activeElement;
    const row = active && place.contains(active) ? active.closest("li[id]") : null;
    const spot = row ? [...row.querySelectorAll("a, button, summary")].indexOf(active) : -1;
    place.replaceChildren(...next.childNodes);
    if (spot >= 0) document.getElementById(row.id)?.querySelectorAll("a, button, summary")[spot]?.focus();
  };
  const ask = (on) => {
    clearInterval(asking);
    asking = setInterval(renew, on ? 60000 : 5000);
  };
  ask(false);
  if ("EventSource" in window) {
    const events = new EventSource("/staff/events");
    events.addEventListener("changed", renew);
    events.addEventListener("ended", () => location.reload());
    events.addEventListener("open", () => { ask(true); renew(); });
    events.addEventListener("error", () => ask(false));
  }
  document.addEventListener("focusout", () => { if (isLate) setTimeout(renew); });
  document.addEventListener("toggle", () => { if (isLate) setTimeout(renew); }, true);
})();
