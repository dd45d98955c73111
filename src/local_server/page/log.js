// The console of a run. It follows new lines while its end is in sight.

import { logLines } from "./api.js";
import { empty, h } from "./dom.js";

const MOST_LINES = 20_000; // kept in the page; earlier ones are a click away
const BATCH = 1000;
const ANSI = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-_])/g;

/** What a terminal would show in the end: colours left out, a progress bar's rewritten lines as the last one. */
function terminalText(text) {
  return text
    .replace(ANSI, "")
    .replace(/\r+\n/g, "\n")
    .split("\n")
    .map((line) => line.replace(/\r+$/, "").split("\r").at(-1))
    .join("\n");
}

export function createLog(id) {
  const follow = h("input", { type: "checkbox", checked: true, on: { change: () => follow.checked && toEnd() } });
  const earlier = h("button", { type: "button", hidden: true, on: { click: () => showEarlier() } }, "Show earlier lines");
  const output = h("pre", {
    class: "console",
    role: "log",
    "aria-live": "off",
    "aria-label": "Console",
    tabindex: "0",
    on: { scroll: onScroll },
  });
  const nothing = empty("No lines yet. They appear here as the run writes them.");
  const element = h(
    "div",
    { class: "log" },
    h("div", { class: "tools" }, h("label", { class: "field" }, follow, " Follow"), earlier),
    nothing,
    output,
  );
  let first = null; // time of the first line shown, ms since 1970
  let last = null; // time of the last one
  let batch = BATCH;
  let atLast = new Set(); // the events of that time that are shown already

  const keyOf = (event) => event.id ?? event._id ?? `${event.timestamp} ${event.msg}`;
  const line = (event) =>
    h(
      "span",
      { class: /error|critical|fatal/i.test(event.level ?? "") ? "line error" : "line" },
      terminalText(String(event.msg ?? "")).replace(/\n?$/, "\n"),
    );
  const atEnd = () => output.scrollHeight - output.scrollTop - output.clientHeight < 40;
  function toEnd() {
    output.scrollTop = output.scrollHeight;
  }
  /** The console takes what is left of the window. */
  function fit() {
    const above = output.getBoundingClientRect().top + scrollY;
    output.style.height = `max(260px, calc(100vh - ${Math.round(above) + 24}px))`;
  }
  function onScroll() {
    if (output.clientHeight) follow.checked = atEnd();
  }

  async function showEarlier() {
    const { events } = await logLines(id, { before: first, count: BATCH });
    const older = events.filter((event) => event.timestamp < first);
    const height = output.scrollHeight;
    output.prepend(...older.map(line));
    output.scrollTop += output.scrollHeight - height;
    earlier.hidden = older.length === 0;
    first = older[0]?.timestamp ?? first;
  }

  /** Adds what came since; the last millisecond is asked for again, since it may have got more lines. Returns whether there may be more. */
  async function append() {
    const start = last === null;
    const { events, total } = await logLines(id, start ? { count: batch } : { from: last, count: batch });
    const fresh = events.filter((event) => start || event.timestamp > last || (event.timestamp === last && !atLast.has(keyOf(event))));
    if (!fresh.length) {
      if (start || events.length < batch) return false;
      batch *= 4; // all of them are of that one millisecond
      return true;
    }
    first ??= fresh[0].timestamp;
    const newest = fresh.at(-1).timestamp;
    if (newest !== last) atLast = new Set();
    last = newest;
    fresh.filter((event) => event.timestamp === newest).forEach((event) => atLast.add(keyOf(event)));
    output.append(...fresh.map(line));
    if (start) earlier.hidden = !(total > events.length);
    const more = !start && events.length === batch;
    batch = BATCH;
    return more;
  }

  return {
    element,
    async refresh() {
      const following = follow.checked;
      while (await append());
      while (output.childElementCount > MOST_LINES) {
        output.firstChild.remove();
        earlier.hidden = true; // what is cut off here is older than the first line shown
      }
      nothing.hidden = output.childElementCount > 0;
      output.hidden = !nothing.hidden;
      fit();
      if (following) toEnd();
    },
  };
}
