// The table of runs: filter, sort, pick some and compare them.

import { h, replace } from "./dom.js";
import { compareText, duration, isActive, moment, number, runtime, STATUSES, statusLabel, when, workload } from "./format.js";
import { notFinite, statusMark, tagList } from "./marks.js";
import { diverged, lastMetrics, mainOf } from "./metrics.js";
import { poll } from "./poll.js";
import { createRuns } from "./runs.js";
import { createState } from "./state.js";
import { createTable, sorted } from "./table.js";
import { createToolbar } from "./toolbar.js";

const ROWS = 50;
const SHOWN_METRICS = 3;
const DEFAULTS = { q: "", status: [], project: "", sort: "-started", page: 1, pick: [], metrics: [] };

export async function show(main) {
  document.title = "Experiments";
  const state = createState(DEFAULTS);
  const runs = createRuns();
  const toolbar = createToolbar(state);
  let shown = []; // IDs of the runs on this page of the table
  replace(main, toolbar.element);

  const table = createTable({
    caption: "Experiments",
    rowKey: (task) => task.id,
    rowName: (task) => task.name,
    on: {
      sort: (sort) => state.set({ sort, page: 1 }),
      pick: (id, picked) =>
        state.set({ pick: picked ? [...state.get().pick, id] : state.get().pick.filter((other) => other !== id) }, { push: false }),
      pickAll: (picked) => {
        const others = state.get().pick.filter((id) => !shown.includes(id));
        state.set({ pick: picked ? [...others, ...shown] : others }, { push: false });
      },
    },
  });

  function draw() {
    const current = state.get();
    const tasks = runs.list();
    const metrics = metricNames(tasks.filter((task) => !current.project || runs.projectOf(task) === current.project));
    const shownMetrics = current.metrics.length ? current.metrics : metrics.slice(0, SHOWN_METRICS);
    const columns = [...fixedColumns(runs.projectOf), ...shownMetrics.map(metricColumn)];
    const matching = tasks.filter(matcher(current, runs.projectOf));
    const pages = Math.max(1, Math.ceil(matching.length / ROWS));
    const page = Math.min(Math.max(1, current.page), pages);
    const rows = sorted(matching, columns, current.sort, compareText).slice((page - 1) * ROWS, page * ROWS);
    shown = rows.map((task) => task.id);
    table.update(rows, { columns, sort: current.sort, picked: new Set(current.pick) });
    toolbar.update({ tasks, matching, metrics, shownMetrics, page, pages, table: table.element, projectOf: runs.projectOf });
  }

  state.subscribe(draw);
  let active = false;
  poll(
    () =>
      runs.refresh(() => {
        active = runs.list().some(isActive);
        draw();
      }),
    () => (active ? 3000 : 10000),
  );
}

/** A run matches when every typed word is in its name, project, workload, tags, status or id. */
function matcher({ q, status, project }, projectOf) {
  const words = q.toLowerCase().match(/\S+/g) ?? [];
  return (task) => {
    if (status.length && !status.includes(task.status)) return false;
    if (project && projectOf(task) !== project) return false;
    const text = [task.name, projectOf(task), workload(task), ...(task.tags ?? []), statusLabel(task.status), task.id]
      .join("\n")
      .toLowerCase();
    return words.every((word) => text.includes(word));
  };
}

/** Names of all scalars: first what most runs are judged by, then those that most runs have. */
function metricNames(tasks) {
  const judged = new Map();
  const counts = new Map();
  const count = (counts, name) => counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const task of tasks) {
    count(judged, mainOf(task));
    for (const name of lastMetrics(task).keys()) count(counts, name);
  }
  const often = (name) => judged.get(name) ?? 0;
  return [...counts].sort(([a, m], [b, n]) => often(b) - often(a) || n - m || compareText(a, b)).map(([name]) => name);
}

function fixedColumns(projectOf) {
  const text = (key, label, value, more = {}) => ({ key, label, value, version: value, cell: value, ...more });
  return [
    {
      key: "name",
      label: "Name",
      value: (task) => task.name,
      version: (task) => task.name,
      wide: true,
      cell: (task) => h("a", { href: `/task/${encodeURIComponent(task.id)}`, "data-focus": `name:${task.id}` }, task.name || task.id),
    },
    text("project", "Project", projectOf, { class: "muted" }),
    text("workload", "Workload", workload, { class: "muted" }),
    {
      key: "status",
      label: "Status",
      value: (task) => STATUSES.indexOf(task.status),
      version: (task) => JSON.stringify([task.status, task.status_reason, task.status_message, diverged(task)]),
      cell: statusMark,
    },
    {
      key: "started",
      label: "Started",
      numeric: true,
      value: (task) => moment(task.started ?? task.created)?.getTime(),
      version: (task) => task.started,
      cell: (task) => time(moment(task.started)),
    },
    text("duration", "Duration", (task) => duration(runtime(task)), { numeric: true, value: (task) => runtime(task) }),
    {
      key: "tags",
      label: "Tags",
      value: (task) => (task.tags ?? []).join(" "),
      version: (task) => JSON.stringify(task.tags),
      cell: (task) => tagList(task.tags),
      class: "tags",
    },
  ];
}

const time = (date) => date && h("time", { datetime: date.toISOString(), title: date.toLocaleString() }, when(date));

function metricColumn(name) {
  const value = (task) => lastMetrics(task).get(name)?.value;
  return {
    key: `m:${name}`,
    label: name,
    title: `Last value of ${name}`,
    numeric: true,
    class: "metric",
    value,
    version: (task) => JSON.stringify(lastMetrics(task).get(name) ?? null),
    cell: (task) => number(value(task)) || notFinite(lastMetrics(task).get(name)?.gaps),
  };
}
