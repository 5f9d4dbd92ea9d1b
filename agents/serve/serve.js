"use strict";
// Asks every two seconds whether the page has changed, and replaces the sections that did. What the
// reader has opened, chosen, sorted or selected stays as it is.

const WAIT_MS = 2000;
const LONGEST_MS = 3000; // so that a change is seen within five seconds
const SHARE = 20; // a page that takes the server 100 ms is asked for every 2 s

const LIVE = ".masthead, main > section[id]:not([data-still])";
const keyOf = (element) => element.id || "masthead";
const liveParts = (root) => new Map([...root.querySelectorAll(LIVE)].map((one) => [keyOf(one), one]));
// As the server sent them: script.js, which comes later, adds buttons.
const sent = new Map([...liveParts(document)].map(([key, one]) => [key, one.outerHTML]));
let etag = document.querySelector("meta[name=etag]").content;

const FOCUSABLE = "a, button, input, select, summary, [tabindex]";
const SCROLLED = ".scroll, .text, pre";

function note(section) {
  const active = section.contains(document.activeElement) ? document.activeElement : null;
  return {
    open: [...section.querySelectorAll("details")].map((one) => one.open),
    checked: [...section.querySelectorAll("input:checked")].map((one) => one.id),
    sorted: [...section.querySelectorAll("table.sortable")].map((table) => {
      const index = [...table.tHead.rows[0].cells].findIndex((cell) => cell.hasAttribute("aria-sort"));
      if (index < 0) return null;
      return { index, order: table.tHead.rows[0].cells[index].getAttribute("aria-sort") };
    }),
    scrolled: [...section.querySelectorAll(SCROLLED)].map((one) => [one.scrollLeft, one.scrollTop]),
    focus: active && { id: active.id, index: [...section.querySelectorAll(FOCUSABLE)].indexOf(active) },
  };
}

function restore(section, noted) {
  section.querySelectorAll("details").forEach((one, i) => (one.open = noted.open[i] ?? one.open));
  for (const id of noted.checked) {
    const box = section.querySelector(`#${CSS.escape(id)}`);
    if (box) box.checked = true;
  }
  section.querySelectorAll("table.sortable").forEach((table, i) => {
    makeSortable(table);
    const sorted = noted.sorted[i];
    const header = sorted && table.tHead.rows[0].cells[sorted.index];
    if (!header) return;
    if (sorted.order === "ascending") header.setAttribute("aria-sort", "descending"); // it is turned
    sortBy(table, sorted.index, header);
  });
  section.querySelectorAll(SCROLLED).forEach((one, i) => {
    if (noted.scrolled[i]) [one.scrollLeft, one.scrollTop] = noted.scrolled[i];
  });
  if (!noted.focus) return;
  const target = noted.focus.id
    ? document.getElementById(noted.focus.id)
    : section.querySelectorAll(FOCUSABLE)[noted.focus.index];
  target?.focus({ preventScroll: true });
}

function isHeld(section) {
  const selection = getSelection();
  return !selection.isCollapsed && section.contains(selection.anchorNode);
}

function show(page) {
  const [now, next] = [liveParts(document), liveParts(page)];
  let isWhole = true;
  if ([...now.keys()].join() !== [...next.keys()].join()) {
    for (const name of [".masthead", ".page"]) {
      document.querySelector(name).replaceWith(document.adoptNode(page.querySelector(name)));
    }
    sent.clear();
    for (const [key, one] of liveParts(document)) sent.set(key, one.outerHTML);
    document.querySelectorAll("main table.sortable").forEach(makeSortable);
  } else {
    for (const [key, one] of next) {
      const html = one.outerHTML;
      if (html === sent.get(key)) continue;
      if (isHeld(now.get(key))) {
        isWhole = false;
        continue;
      }
      const noted = note(now.get(key));
      now.get(key).replaceWith(document.adoptNode(one));
      sent.set(key, html);
      restore(one, noted);
    }
  }
  document.title = page.title;
  return isWhole;
}

const kept = document.getElementById("kept");
function tell(words, isLost) {
  kept.hidden = false;
  kept.classList.toggle("lost", isLost);
  // Said aloud only when the server is lost.
  isLost ? kept.setAttribute("role", "alert") : kept.removeAttribute("role");
  if (kept.textContent !== words) kept.textContent = words;
}

async function update() {
  const begun = performance.now();
  try {
    const answer = await fetch(location.href.split("#")[0], { headers: { "If-None-Match": etag } });
    if (answer.status !== 304) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (show(page)) etag = answer.headers.get("ETag") ?? etag;
      tell(`as of ${new Date().toLocaleTimeString()}`, false);
    } else if (kept.classList.contains("lost")) tell(`as of ${new Date().toLocaleTimeString()}`, false);
  } catch {
    tell("The server does not answer: start textenv serve again.", true);
  }
  const took = performance.now() - begun;
  setTimeout(whenSeen, Math.min(LONGEST_MS, Math.max(WAIT_MS, SHARE * took)));
}

function whenSeen() {
  const follow = document.getElementById("follow");
  if (document.hidden) document.addEventListener("visibilitychange", whenSeen, { once: true });
  // A list of texts moves under its reader only on demand.
  else if (follow && !follow.checked) setTimeout(whenSeen, WAIT_MS);
  else update();
}

setTimeout(whenSeen, WAIT_MS);
