// Settings and results of several runs in one table; what differs stands out.

import { empty, h, redraw } from "./dom.js";
import { compareText, duration, moment, number, runtime, settings, statusLabel, when, workload } from "./format.js";
import { swatch } from "./marks.js";
import { lastMetrics, mainFirst } from "./metrics.js";

/**
 * Settings of each run as a map from key to text. Where two sections have the same key it is said as "section/key"; what was typed ("Args")
 * is left out where the resolved value ("Settings") is there.
 */
export function settingsOf(runs) {
  const all = runs.map(({ task }) =>
    [...settings(task)].map(([path, value]) => [path.split("/")[0], path.slice(path.indexOf("/") + 1), value]),
  );
  const sections = new Map();
  for (const [section, key] of all.flat()) sections.set(key, (sections.get(key) ?? new Set()).add(section));
  for (const found of sections.values()) if (found.has("Settings")) found.delete("Args");
  const kept = (items) => items.filter(([section, key]) => sections.get(key).has(section));
  const name = (section, key) => (sections.get(key).size > 1 ? `${section}/${key}` : key);
  return all.map((items) => new Map(kept(items).map(([section, key, value]) => [name(section, key), value])));
}

export function createSettings(state) {
  const differing = h("input", {
    type: "checkbox",
    checked: state.get().diff,
    on: { change: () => state.set({ diff: differing.checked }) },
  });
  const filter = h("input", {
    type: "search",
    placeholder: "Setting…",
    value: state.get().find,
    on: { input: () => state.set({ find: filter.value }, { push: false }) },
  });
  const count = h("p", { class: "count", role: "status" });
  const place = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Settings of the runs" });
  const element = h(
    "div",
    { class: "settings" },
    h(
      "div",
      { class: "tools" },
      h("label", { class: "field" }, h("span", { class: "unseen" }, "Filter the settings"), filter),
      h("label", { class: "field" }, differing, " Only differences"),
      count,
    ),
    place,
  );

  return {
    element,
    async refresh(runs) {
      const { diff, find } = state.get();
      differing.checked = diff;
      if (document.activeElement !== filter) filter.value = find;
      const shown = runs.filter((run) => !run.hidden);
      const groups = rowsOf(shown);
      const wanted = (row, always) => row.name.toLowerCase().includes(find.toLowerCase()) && (!diff || row.differs || always);
      const kept = groups.map((group) => ({ ...group, rows: group.rows.filter((row) => wanted(row, group.always)) }));
      const filled = kept.filter(({ rows }) => rows.length);
      const settings = groups[0].rows;
      const differ = settings.filter(({ differs }) => differs).length;
      count.textContent = shown.length < 2 ? "" : `${differ} of ${settings.length} settings differ`;
      const none = diff ? "No settings differ." : "These runs have no such settings.";
      redraw(place, [filled, shown.map(({ id, name }) => [id, name])], () => (filled.length ? table(shown, filled) : empty(none)));
    },
  };
}

/**
 * Groups of rows {name, values, differs}, the settings first; a run without a setting has null there. A group that is `always` shown shows
 * what is alike, too.
 */
function rowsOf(runs) {
  const maps = settingsOf(runs);
  const row = (name, values) => ({ name, values, differs: new Set(values).size > 1 });
  const names = [...new Set(maps.flatMap((map) => [...map.keys()]))].sort(compareText);
  const results = runs.map(({ task }) => lastMetrics(task));
  const metrics = mainFirst(
    [...new Set(results.flatMap((map) => [...map.keys()]))],
    runs.map(({ task }) => task),
  );
  const origin = {
    Workload: ({ task }) => workload(task),
    Status: ({ task }) => statusLabel(task.status),
    Started: ({ task }) => when(moment(task.started)),
    Duration: ({ task }) => duration(runtime(task)),
    Commit: ({ task }) => (task.script?.version_num ?? "").slice(0, 10),
    Tags: ({ task }) => (task.tags ?? []).join(", "),
  };
  return [
    {
      title: "Settings",
      rows: names.map((name) =>
        row(
          name,
          maps.map((map) => map.get(name) ?? null),
        ),
      ),
    },
    {
      title: "Last value (minimum … maximum)",
      always: true,
      rows: metrics.map((name) =>
        row(
          name,
          results.map((map) => spread(map.get(name))),
        ),
      ),
    },
    { title: "Run", always: true, rows: Object.entries(origin).map(([name, of]) => row(name, runs.map(of))) },
  ];
}

const NOT_FINITE = "not finite"; // in place of a last value

/** What a cell says of a metric: its last value, and small beside it the others or where it was not finite. */
function spread(metric) {
  if (!metric) return null;
  if (metric.value === undefined) return [NOT_FINITE, metric.gaps];
  const others = metric.min !== undefined && metric.max !== undefined ? `${number(metric.min)} … ${number(metric.max)}` : "";
  return [number(metric.value), [others, metric.gaps && `not finite ${metric.gaps}`].filter(Boolean).join("; ")];
}

function table(runs, groups) {
  const head = h(
    "tr",
    {},
    h("td", {}),
    runs.map((run) =>
      h("th", { scope: "col" }, swatch(run.style), h("a", { href: `/task/${encodeURIComponent(run.id)}`, title: run.name }, run.name)),
    ),
  );
  const bodies = groups.map(({ title, always, rows }) =>
    h(
      "tbody",
      {},
      h("tr", { class: "group-row" }, h("th", { scope: "rowgroup", colspan: String(runs.length + 1) }, title)),
      rows.map((row) =>
        h(
          "tr",
          { class: row.differs && !always ? "differs" : null },
          h("th", { scope: "row", title: row.name }, row.name),
          row.values.map((value) => cell(value, always)),
        ),
      ),
    ),
  );
  return h("table", { class: "side-by-side" }, h("caption", { class: "unseen" }, "Settings of the runs"), h("thead", {}, head), bodies);
}

function cell(value) {
  if (value === null) return h("td", { class: "missing" }, "–");
  if (Array.isArray(value)) {
    const [last, more] = value;
    return h("td", {}, h("span", { class: last === NOT_FINITE ? "diverged" : null }, last), h("small", { class: "muted" }, more));
  }
  return h("td", { title: value.length > 40 ? value : null }, value);
}
