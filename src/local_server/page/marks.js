// Small signs that several views share: a status, tags, a run's colour.

import { h } from "./dom.js";
import { statusLabel } from "./format.js";
import { diverged } from "./metrics.js";

/** A run's status as a dot and a word, and whether it has diverged; why it ended, and in what, appears when pointed at. */
export function statusMark(task) {
  const why = [task.status_reason, task.status_message].filter(Boolean).join(": ");
  const status = h(
    "span",
    { class: `status status-${task.status}`, title: why || null },
    h("span", { class: "dot", "aria-hidden": "true" }),
    statusLabel(task.status),
  );
  const gone = diverged(task);
  return gone.length ? [status, " ", h("span", { class: "diverged", title: listed(gone) }, "not finite")] : status;
}

/** In place of a last value that there is none of. */
export const notFinite = (gaps) => gaps && h("span", { class: "diverged", title: `not finite ${gaps}` }, "not finite");

const MOST_LISTED = 3;

/** Names and where they were not finite, the first few: "train/loss since step 3; 4 more". */
export function listed(gaps) {
  const texts = gaps.slice(0, MOST_LISTED).map(([name, words]) => `${name} ${words}`);
  return [...texts, gaps.length > MOST_LISTED && `${gaps.length - MOST_LISTED} more`].filter(Boolean).join("; ");
}

export function tagList(tags) {
  return tags?.length
    ? h(
        "ul",
        { class: "tag-list" },
        tags.map((tag) => h("li", {}, tag)),
      )
    : null;
}

const HUES = ["#3b6fd4", "#e0762f", "#2f9e6e", "#c8436b", "#8a5bd1", "#b08a1e", "#1e9bb0", "#8c6450", "#d168b8", "#6f7a86"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];

/** The look of the n-th run of a comparison: ten colours, then the same ones dashed. */
export const lineStyle = (index) => ({ color: HUES[index % HUES.length], dash: DASHES[Math.floor(index / HUES.length) % DASHES.length] });

/** A run's sign in legends and headings. Its colour is set through the style object, which the content security policy allows. */
export function swatch({ color, dash }) {
  const mark = h("span", { class: `swatch ${dash}`, "aria-hidden": "true" });
  mark.style.setProperty("--run", color);
  return mark;
}
