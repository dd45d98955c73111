// What stands around the table of runs: filters above it, pages and the picked runs below.

import { empty, h, redraw, replace } from "./dom.js";
import { compareText, plural, STATUSES, statusLabel } from "./format.js";
import { createMenu } from "./menu.js";

export const MOST_COMPARED = 100; // what the server answers in one query

/** The parts are made once; `update` changes what they say. */
export function createToolbar(state) {
  const filter = h("input", {
    type: "search",
    id: "filter",
    placeholder: "Name, tag, workload…",
    value: state.get().q,
    "aria-keyshortcuts": "/",
    on: { input: () => state.set({ q: filter.value, page: 1 }, { push: false }) },
  });
  const project = h("select", { on: { change: () => state.set({ project: project.value, page: 1 }) } });
  const statuses = h("div", { class: "toggles", role: "group", "aria-label": "Status" });
  const columns = createMenu("Columns", "Columns of last values", (metrics) => state.set({ metrics }));
  const count = h("p", { class: "count", role: "status" });
  const place = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Experiments" });
  const pager = h("nav", { class: "pager", "aria-label": "Pages of the table" });
  const picked = h("div", { class: "picked-bar", role: "region", "aria-label": "Selected runs", hidden: true });
  const unseen = (text) => h("span", { class: "unseen" }, text);
  const tools = [h("label", { class: "field grow" }, unseen("Filter"), filter), h("label", { class: "field" }, unseen("Project"), project)];
  const element = h("div", { class: "view experiments" }, h("h1", { class: "unseen" }, "Experiments"));
  element.append(h("div", { class: "tools" }, tools, statuses, columns.element, count), place, pager, picked);
  focusKey(filter);

  return {
    element,
    update({ tasks, matching, metrics, shownMetrics, page, pages, table, projectOf }) {
      const { q, project: chosen } = state.get();
      if (document.activeElement !== filter) filter.value = q;
      const total = plural(tasks.length, "run");
      const text = matching.length === tasks.length ? total : `${matching.length.toLocaleString("en")} of ${total}`;
      if (count.textContent !== text) count.textContent = text;
      const projects = [...new Set([...tasks.map(projectOf), chosen])].filter(Boolean).sort(compareText);
      drawProjects(project, projects, chosen);
      drawStatuses(statuses, state, tasks);
      columns.update([...new Set([...shownMetrics, ...metrics])].sort(compareText), shownMetrics);
      drawTable(place, table, tasks.length, matching.length);
      drawPager(pager, state, page, pages);
      drawPicked(picked, state, tasks);
    },
  };
}

/** "/" goes to the filter, as people are used to. */
function focusKey(filter) {
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(input|select|textarea)$/i.test(event.target.tagName)) return;
    event.preventDefault();
    filter.focus();
  });
}

function drawTable(place, table, total, matching) {
  if (matching) {
    if (place.firstChild !== table) replace(place, table);
    return;
  }
  const nothing = total ? empty("No run matches this filter.") : empty("No runs yet. To start one, run:", "registry enqueue clip --smoke");
  if (place.textContent !== nothing.textContent) replace(place, nothing);
}

function drawProjects(select, names, chosen) {
  const option = (name) => h("option", { value: name }, name);
  redraw(select, names, () => [h("option", { value: "" }, "All projects"), names.map(option)]);
  select.value = chosen;
}

function drawStatuses(group, state, tasks) {
  const { status } = state.get();
  const counts = new Map();
  tasks.forEach((task) => counts.set(task.status, (counts.get(task.status) ?? 0) + 1));
  const present = STATUSES.filter((name) => counts.has(name) || status.includes(name));
  const toggle = (name) => {
    const pressed = status.includes(name);
    const click = () => state.set({ page: 1, status: pressed ? status.filter((other) => other !== name) : [...status, name] });
    const tally = h("span", { class: "tally" }, String(counts.get(name) ?? 0));
    return h(
      "button",
      { type: "button", "data-focus": `status:${name}`, "aria-pressed": String(pressed), on: { click } },
      statusLabel(name),
      tally,
    );
  };
  redraw(group, [present, [...counts], status], () => present.map(toggle));
}

function drawPager(pager, state, page, pages) {
  pager.hidden = pages < 2;
  const step = (label, to) => {
    const props = {
      type: "button",
      disabled: to < 1 || to > pages,
      "data-focus": `page:${label}`,
      on: { click: () => state.set({ page: to }) },
    };
    return h("button", props, label);
  };
  redraw(pager, [page, pages], () => [step("Previous", page - 1), h("span", {}, `Page ${page} of ${pages}`), step("Next", page + 1)]);
}

function drawPicked(bar, state, tasks) {
  const { pick } = state.get();
  bar.hidden = !pick.length;
  const known = new Set(tasks.map((task) => task.id));
  const gone = pick.filter((id) => !known.has(id)).length;
  const address = pick.length > 1 && pick.length <= MOST_COMPARED ? `/compare?ids=${pick.map(encodeURIComponent).join(",")}` : null;
  redraw(bar, [pick, gone], () => [
    h("strong", {}, `${plural(pick.length, "run")} selected`),
    h("span", { class: "muted" }, hintFor(pick.length, gone)),
    h("button", { type: "button", on: { click: () => state.set({ pick: [] }) } }, "Clear"),
    h("a", { class: "primary button", href: address, "aria-disabled": String(!address), "data-focus": "compare" }, "Compare"),
  ]);
}

function hintFor(count, gone) {
  if (count > MOST_COMPARED) return `At most ${MOST_COMPARED} runs can be compared.`;
  if (count < 2) return "Select another run to compare.";
  return gone ? `${gone} not on this server.` : "";
}
