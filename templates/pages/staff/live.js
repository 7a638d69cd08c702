(() => {
  "use strict";
  const place = document.querySelector("[data-live]");
  let isLate = false;
  let asking;
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
