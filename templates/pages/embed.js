/* For the clinic's own pages: gives each frame with a form of ours the height of what is in it, and
   each plain form that posts to us the mark of when it was shown. Without it, frames scroll and forms
   are taken all the same. docs/embedding.md */
(() => {
  "use strict";
  const script = document.currentScript;
  if (!script || !script.src) return;
  const ours = new URL(script.src).origin;
  const known = new WeakSet();

  const isOurs = (address) => {
    try {
      return new URL(address || "", location.href).origin === ours;
    } catch {
      return false;
    }
  };
  const frames = () => [...document.querySelectorAll("iframe")].filter((frame) => isOurs(frame.src));

  // The question holds nothing, so it may reach a page that is not there yet or not ours: ours
  // answers the websites of the clinic's list alone.
  const ask = (frame) => frame.contentWindow && frame.contentWindow.postMessage("followup:height", "*");

  addEventListener("message", (event) => {
    if (event.origin !== ours || !event.data) return;
    const height = event.data.followupHeight;
    if (typeof height !== "number" || !(height > 0 && height < 20000)) return;
    const frame = frames().find((one) => one.contentWindow === event.source);
    if (!frame) return;
    known.add(frame);
    frame.style.height = `${Math.ceil(height)}px`;
  });

  document.addEventListener(
    "load",
    ({ target: frame }) => {
      if (frame.tagName !== "IFRAME" || !isOurs(frame.src)) return;
      // The next page stands in it, and who sent a form from its end would look at nothing.
      if (known.has(frame) && frame.getBoundingClientRect().top < 0) frame.scrollIntoView();
      ask(frame);
    },
    true,
  );

  const begin = () => {
    frames().forEach(ask);
    const marks = [...document.querySelectorAll("form[action] input[name=opening]")].filter((mark) =>
      isOurs(mark.form.getAttribute("action")),
    );
    if (!marks.length) return;
    fetch(`${ours}/forms`)
      .then((answer) => answer.json())
      .then(({ opening }) => marks.forEach((mark) => (mark.value = opening)))
      .catch(() => {});
  };
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", begin);
  else begin();
})();
