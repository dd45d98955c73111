// The table of runs: filter, sort, pick some and compare them.

import { empty, h, replace } from "./dom.js";
import { compareText, duration, isActive, lastMetrics, moment, number, plural, runtime, STATUSES, statusLabel, when, workload } from "./format.js";
import { poll } from "./poll.js";
import { createRuns } from "./runs.js";
import { createState } from "./state.js";
import { createTable, sorted } from "./table.js";
import { statusMark, tagList } from "./marks.js";

export const MOST_COMPARED = 100; // what the server answers in one query
const ROWS = 50;
const SHOWN_METRICS = 3;
const DEFAULTS = { q: "", status: [], project: "", sort: "-started", page: 1, pick: [], metrics: [] };

export async function show(main) {
  document.title = "Experiments";
  const state = createState(DEFAULTS);
  const runs = createRuns();
  const view = layout(state);
  replace(main, view.element);

  const table = createTable({
    caption: "Experiments",
    rowKey: (task) => task.id,
    rowName: (task) => task.name,
    on: {
      sort: (sort) => state.set({ sort, page: 1 }),
      pick: (id, picked) => state.set({ pick: picked ? [...state.get().pick, id] : state.get().pick.filter((other) => other !== id) }, { push: false }),
      pickAll: (picked) => {
        const others = state.get().pick.filter((id) => !view.shown.includes(id));
        state.set({ pick: picked ? [...others, ...view.shown] : others }, { push: false });
      },
    },
  });

  function draw() {
    const current = state.get();
    const tasks = runs.list();
    const metrics = metricNames(tasks);
    const shownMetrics = current.metrics.length ? current.metrics : metrics.slice(0, SHOWN_METRICS);
    const columns = [...fixedColumns(runs.projectOf), ...shownMetrics.map(metricColumn)];
    const matching = tasks.filter(matcher(current, runs.projectOf));
    const pages = Math.max(1, Math.ceil(matching.length / ROWS));
    const page = Math.min(Math.max(1, current.page), pages);
    const rows = sorted(matching, columns, current.sort, compareText).slice((page - 1) * ROWS, page * ROWS);
    view.shown = rows.map((task) => task.id);
    table.update(rows, { columns, sort: current.sort, picked: new Set(current.pick) });
    view.update({ current, tasks, matching, metrics, shownMetrics, page, pages, table: table.element, projectOf: runs.projectOf });
  }

  state.subscribe(draw);
  let active = false;
  poll(
    () => runs.refresh(() => {
      active = runs.list().some(isActive);
      draw();
    }),
    () => (active ? 3000 : 10000),
  );
}

const WORDS = /\S+/g;

/** A run matches when every typed word is in its name, project, workload, tags, status or id. */
function matcher({ q, status, project }, projectOf) {
  const words = q.toLowerCase().match(WORDS) ?? [];
  return (task) => {
    if (status.length && !status.includes(task.status)) return false;
    if (project && projectOf(task) !== project) return false;
    const text = [task.name, projectOf(task), workload(task), ...(task.tags ?? []), statusLabel(task.status), task.id].join("\n").toLowerCase();
    return words.every((word) => text.includes(word));
  };
}

/** Names of all scalars, those that most runs have first. */
function metricNames(tasks) {
  const counts = new Map();
  for (const task of tasks) for (const name of lastMetrics(task).keys()) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort(([a, m], [b, n]) => n - m || compareText(a, b)).map(([name]) => name);
}

function fixedColumns(projectOf) {
  const text = (key, label, value, more = {}) => ({ key, label, value, version: value, cell: value, ...more });
  return [
    {
      key: "name", label: "Name", value: (task) => task.name, version: (task) => task.name, wide: true,
      cell: (task) => h("a", { href: `/task/${encodeURIComponent(task.id)}`, "data-focus": `name:${task.id}` }, task.name || task.id),
    },
    text("project", "Project", projectOf, { class: "muted" }),
    text("workload", "Workload", workload, { class: "muted" }),
    {
      key: "status", label: "Status", value: (task) => STATUSES.indexOf(task.status), version: (task) => `${task.status}${task.status_reason}${task.status_message}`,
      cell: statusMark,
    },
    {
      key: "started", label: "Started", numeric: true, value: (task) => moment(task.started ?? task.created)?.getTime(), version: (task) => task.started,
      cell: (task) => time(moment(task.started)),
    },
    text("duration", "Duration", (task) => duration(runtime(task)), { numeric: true, value: (task) => runtime(task) }),
    {
      key: "tags", label: "Tags", value: (task) => (task.tags ?? []).join(" "), version: (task) => JSON.stringify(task.tags), cell: (task) => tagList(task.tags), class: "tags",
    },
  ];
}

const time = (date) => date && h("time", { datetime: date.toISOString(), title: date.toLocaleString() }, when(date));

function metricColumn(name) {
  const value = (task) => lastMetrics(task).get(name)?.value;
  return { key: `m:${name}`, label: name, title: `Last value of ${name}`, numeric: true, class: "metric", value, version: (task) => String(value(task)), cell: (task) => number(value(task)) };
}

/** The parts around the table. They are made once; `update` changes what they say. */
function layout(state) {
  const filter = h("input", {
    type: "search", id: "filter", placeholder: "Name, tag, workload…", value: state.get().q, "aria-keyshortcuts": "/",
    on: { input: () => state.set({ q: filter.value, page: 1 }, { push: false }) },
  });
  const project = h("select", { id: "project", on: { change: () => state.set({ project: project.value, page: 1 }) } });
  const statuses = h("div", { class: "toggles", role: "group", "aria-label": "Status" });
  const metricChoice = h("fieldset", {}, h("legend", {}, "Columns of last values"));
  const metricMenu = h("details", { class: "menu" }, h("summary", {}, "Columns"), metricChoice);
  const count = h("p", { class: "count", role: "status" });
  const place = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Experiments" });
  const pager = h("nav", { class: "pager", "aria-label": "Pages of the table" });
  const picked = h("div", { class: "picked-bar", role: "region", "aria-label": "Picked runs", hidden: true });
  const element = h("div", { class: "view experiments" },
    h("h1", { class: "unseen" }, "Experiments"),
    h("div", { class: "tools" }, h("label", { class: "field grow" }, h("span", { class: "unseen" }, "Filter"), filter),
      h("label", { class: "field" }, h("span", { class: "unseen" }, "Project"), project), statuses, metricMenu, count),
    place, pager, picked,
  );
  focusKey(filter);

  function drawMetrics(metrics, shownMetrics) {
    metricMenu.hidden = !metrics.length;
    const version = JSON.stringify([metrics, shownMetrics]);
    if (metricChoice.dataset.version === version) return;
    metricChoice.dataset.version = version;
    const box = (name) => h("label", {}, h("input", {
      type: "checkbox", checked: shownMetrics.includes(name),
      on: { change: (event) => state.set({ metrics: event.target.checked ? [...shownMetrics, name] : shownMetrics.filter((other) => other !== name) }) },
    }), name);
    const names = [...new Set([...shownMetrics, ...metrics])].sort(compareText);
    replace(metricChoice, metricChoice.querySelector("legend"), names.map(box));
  }

  return {
    element,
    shown: [],
    update({ current, tasks, matching, metrics, shownMetrics, page, pages, table, projectOf }) {
      if (document.activeElement !== filter) filter.value = current.q;
      drawProjects(project, current, tasks, projectOf);
      drawStatuses(statuses, state, tasks);
      drawMetrics(metrics, shownMetrics);
      setText(count, matching.length === tasks.length ? plural(tasks.length, "run") : `${matching.length.toLocaleString("en")} of ${plural(tasks.length, "run")}`);
      const wanted = tasks.length === 0 ? emptyTable() : matching.length === 0 ? empty("No run matches this filter.") : table;
      if (place.firstChild !== wanted && (wanted === table || place.firstChild?.textContent !== wanted.textContent)) replace(place, wanted);
      drawPager(pager, state, page, pages);
      drawPicked(picked, state, tasks);
    },
  };
}

const setText = (element, text) => element.textContent !== text && (element.textContent = text);
const emptyTable = () => empty("No runs yet. To start one, type:", "registry enqueue clip --smoke");

/** "/" goes to the filter, as people are used to. */
function focusKey(filter) {
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(input|select|textarea)$/i.test(event.target.tagName)) return;
    event.preventDefault();
    filter.focus();
  });
}

function drawProjects(select, current, tasks, projectOf) {
  const names = [...new Set([...tasks.map(projectOf), current.project])].filter(Boolean).sort(compareText);
  const version = JSON.stringify(names);
  if (select.dataset.version !== version) {
    select.dataset.version = version;
    replace(select, h("option", { value: "" }, "All projects"), names.map((name) => h("option", { value: name }, name)));
  }
  select.value = current.project;
}

function drawStatuses(group, state, tasks) {
  const { status } = state.get();
  const counts = new Map();
  tasks.forEach((task) => counts.set(task.status, (counts.get(task.status) ?? 0) + 1));
  const present = STATUSES.filter((name) => counts.has(name) || status.includes(name));
  const version = JSON.stringify([present, [...counts], status]);
  if (group.dataset.version === version) return;
  group.dataset.version = version;
  const focused = group.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  const toggle = (name) => h("button", {
    type: "button", "data-focus": `status:${name}`, "aria-pressed": String(status.includes(name)), class: `status-${name}`,
    on: { click: () => state.set({ page: 1, status: status.includes(name) ? status.filter((other) => other !== name) : [...status, name] }) },
  }, statusLabel(name), h("span", { class: "tally" }, String(counts.get(name) ?? 0)));
  replace(group, present.map(toggle));
  if (focused) group.querySelector(`[data-focus="${focused}"]`)?.focus();
}

function drawPager(pager, state, page, pages) {
  pager.hidden = pages < 2;
  const version = `${page}/${pages}`;
  if (pager.dataset.version === version) return;
  pager.dataset.version = version;
  const step = (label, to) => h("button", { type: "button", disabled: to < 1 || to > pages, on: { click: () => state.set({ page: to }) } }, label);
  replace(pager, step("Previous", page - 1), h("span", {}, `Page ${page} of ${pages}`), step("Next", page + 1));
}

function drawPicked(bar, state, tasks) {
  const { pick } = state.get();
  bar.hidden = !pick.length;
  const version = JSON.stringify(pick);
  if (!pick.length || bar.dataset.version === version) return;
  bar.dataset.version = version;
  const known = new Set(tasks.map((task) => task.id));
  const many = pick.length > MOST_COMPARED;
  const ids = pick.map(encodeURIComponent).join(",");
  const gone = pick.filter((id) => !known.has(id)).length;
  const inPlace = bar.querySelector(".primary");
  const compare = inPlace ?? h("a", { class: "primary button" }, "Compare");
  if (pick.length > 1 && !many) compare.setAttribute("href", `/compare?ids=${ids}`);
  else compare.removeAttribute("href");
  compare.setAttribute("aria-disabled", String(pick.length < 2 || many));
  const hint = many ? `At most ${MOST_COMPARED} can be compared.` : pick.length < 2 ? "Pick another to compare." : gone ? `${gone} not in this list.` : "";
  replace(bar, h("strong", {}, `${plural(pick.length, "run")} picked`), h("span", { class: "muted" }, hint),
    h("button", { type: "button", on: { click: () => state.set({ pick: [] }) } }, "Clear"), compare);
}
