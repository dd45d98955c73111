// Which settings and which metric the parallel coordinates show.

import { empty, h, redraw } from "./dom.js";
import { compareText } from "./format.js";
import { createMenu } from "./menu.js";
import { lastMetrics, mainFirst } from "./metrics.js";
import { drawParallel, MISSING, NOT_FINITE } from "./parallel_chart.js";
import { settingsOf } from "./settings.js";

const MOST_AXES = 12;
const VALUES = { value: "last", min: "least", max: "greatest" };

export function createParallel(state) {
  const metric = h("select", { id: "metric", "aria-label": "Metric", on: { change: () => state.set({ metric: metric.value }) } });
  const best = h(
    "select",
    { "aria-label": "Value of the metric", on: { change: () => state.set({ best: best.value }) } },
    Object.entries(VALUES).map(([value, label]) => h("option", { value }, label)),
  );
  const menu = createMenu("Axes", "Settings as axes", (axes) => state.set({ axes }));
  const place = h("div", { class: "parallel-place" });
  const told = h("p", { class: "count", role: "status" }, "");
  const element = h(
    "div",
    { class: "parallel" },
    h("div", { class: "tools" }, h("label", { class: "field" }, "Metric ", metric), best, menu.element),
    place,
    told,
  );
  let runs = [];
  new ResizeObserver(() => draw()).observe(place);

  function draw() {
    const shown = runs.filter((run) => !run.hidden);
    const { metric: asked, best: kind, axes: wanted } = state.get();
    const maps = settingsOf(shown);
    const found = shown.map(({ task }) => lastMetrics(task));
    const metrics = mainFirst(
      [...new Set(found.flatMap((map) => [...map.keys()]))],
      shown.map(({ task }) => task),
    );
    const name = metrics.includes(asked) ? asked : metrics[0];
    const keys = [...new Set(maps.flatMap((map) => [...map.keys()]))].sort(compareText);
    const differing = keys.filter((key) => new Set(maps.map((map) => map.get(key))).size > 1);
    const axes = (wanted.length ? wanted.filter((key) => keys.includes(key)) : differing).slice(0, MOST_AXES);
    fillSelect(metric, metrics, name);
    best.value = kind;
    menu.update(keys, axes);
    if (!place.clientWidth) return;
    const results = found.map((map) => map.get(name)?.[kind] ?? (map.has(name) ? NOT_FINITE : MISSING));
    const columns = [
      ...axes.map((key) => ({ label: key, values: maps.map((map) => map.get(key) ?? MISSING) })),
      { label: `${name} (${VALUES[kind]})`, values: results },
    ];
    const problem = problemOf(shown.length, name, axes);
    const picture = () => (problem ? empty(problem) : drawParallel(shown, columns, place.clientWidth, (text) => (told.textContent = text)));
    redraw(place, [problem, columns, shown.map((run) => [run.id, run.name]), place.clientWidth], picture);
  }

  return {
    element,
    async refresh(wanted) {
      runs = wanted;
      draw();
    },
  };
}

function fillSelect(select, names, chosen) {
  redraw(select, names, () => names.map((name) => h("option", { value: name }, name)));
  select.value = chosen ?? "";
}

function problemOf(runs, metric, axes) {
  if (!metric) return "No scalars have been reported by these runs.";
  if (runs < 2) return "Show at least two runs.";
  return axes.length ? null : "These runs have the same settings. Choose axes above.";
}
