// Brings in what is new and leaves the rest alone, so that a half-typed answer, an opened mail
// and the scroll position survive. Without this script the page works, and is reloaded by hand.
"use strict";

const EVERY_MS = 1000;
const lost = document.getElementById("lost");

function isAtEnd(list) {
  return list.scrollHeight - list.scrollTop - list.clientHeight < 40;
}

function update(kept, fresh) {
  const live = kept.querySelectorAll("[data-live]");
  fresh.querySelectorAll("[data-live]").forEach((now, place) => {
    if (live.length > place && live[place].textContent !== now.textContent) {
      live[place].textContent = now.textContent;
      live[place].className = now.className;
    }
  });
  kept.querySelectorAll("[data-keyed]").forEach((list, place) => {
    merge(list, fresh.querySelectorAll("[data-keyed]")[place]);
  });
}

function merge(list, fresh) {
  const follows = isAtEnd(list);
  const gone = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let place = list.firstElementChild;
  for (const child of fresh.children) {
    const kept = gone.get(child.dataset.key);
    if (kept) {
      gone.delete(child.dataset.key);
      if (!child.querySelector("iframe")) update(kept, child);
      place = kept.nextElementSibling;
    } else {
      list.insertBefore(document.importNode(child, true), place);
    }
  }
  gone.forEach((child) => child.remove());
  if (follows && list.classList.contains("bubbles")) list.scrollTop = list.scrollHeight;
}

async function refresh() {
  const revision = await (await fetch("/revision")).text();
  if (revision === document.body.dataset.revision) return;
  const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
  const lists = page.querySelectorAll("main > section > [data-keyed]");
  document.querySelectorAll("main > section > [data-keyed]").forEach((list, place) => {
    merge(list, lists[place]);
  });
  document.body.dataset.revision = page.body.dataset.revision;
}

async function watch() {
  try {
    if (!document.hidden) await refresh();
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
  setTimeout(watch, EVERY_MS);
}

async function answer(form) {
  const output = form.querySelector("output");
  const input = form.elements.namedItem("body");
  output.textContent = "Sending…";
  try {
    const response = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    const told = await response.json();
    if (told.delivered) {
      input.value = "";
      output.textContent = "";
    } else {
      output.textContent = told.message || `The service did not take it (${told.status ?? "no answer"}).`;
    }
    await refresh();
  } catch {
    output.textContent = "The sandbox does not answer.";
  }
}

document.addEventListener("submit", (event) => {
  event.preventDefault();
  answer(event.target);
});

document.querySelectorAll(".bubbles").forEach((list) => { list.scrollTop = list.scrollHeight; });
watch();
