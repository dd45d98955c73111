// Scalars of one run or of many: one chart per series (many runs) or per metric (one run), with smoothing, axes and a filter.

import { scalars as fetchScalars } from "./api.js";
import { createGrid, drawLines, plotly } from "./charts.js";
import { empty, h } from "./dom.js";
import { compareText } from "./format.js";
import { lineStyle, listed } from "./marks.js";
import { gapsOf, isMachine, mainFirst, partsOf, seriesKey, stretches } from "./metrics.js";

const X_AXES = { iter: "Iterations", relative: "Time since start", wall: "Clock time" };
export const SCALAR_STATE = { x: "iter", smooth: 0, log: false, series: "" };

/** Exponential moving average, corrected for its start at zero; weight in [0, 1). A gap (null) stays one. */
function smoothed(values, weight) {
  if (!weight) return values;
  let average = 0;
  let total = 0;
  return values.map((value) => {
    if (!Number.isFinite(value)) return null;
    average = average * weight + value * (1 - weight);
    total = total * weight + (1 - weight);
    return average / total;
  });
}

/** The bar that sets what all charts share. Its values are in the address. */
function scalarTools(state) {
  const { smooth, x, log, series } = state.get();
  const shown = h("output", { for: "smooth" }, String(smooth));
  const slider = h("input", {
    type: "range",
    id: "smooth",
    "aria-label": "Smoothing",
    min: "0",
    max: "0.99",
    step: "0.01",
    value: String(smooth),
    on: { input: () => state.set({ smooth: Number(slider.value) }, { push: false }) },
  });
  const axis = h(
    "select",
    { id: "x-axis", "aria-label": "X axis", on: { change: () => state.set({ x: axis.value }) } },
    Object.entries(X_AXES).map(([value, label]) => h("option", { value, selected: value === x }, label)),
  );
  const logBox = h("input", { type: "checkbox", checked: log, on: { change: () => state.set({ log: logBox.checked }) } });
  const filter = h("input", {
    type: "search",
    placeholder: "Series…",
    value: series,
    on: { input: () => state.set({ series: filter.value }, { push: false }) },
  });
  state.subscribe((current) => {
    shown.textContent = current.smooth.toFixed(2);
    slider.value = String(current.smooth);
    axis.value = current.x;
    logBox.checked = current.log;
    if (document.activeElement !== filter) filter.value = current.series;
  });
  return h(
    "div",
    { class: "tools" },
    h("label", { class: "field" }, h("span", { class: "unseen" }, "Filter the series"), filter),
    h("label", { class: "field" }, "Smoothing ", slider, shown),
    h("label", { class: "field" }, "X axis ", axis),
    h("label", { class: "field" }, logBox, " Log scale"),
  );
}

/**
 * Charts of the runs' scalars. `runs` are {id, name, style, hidden}; `byMetric` puts all series of a metric on one chart (one run),
 * otherwise each series has its chart with a line per run.
 */
export function createScalars(state, { byMetric = false } = {}) {
  const grid = createGrid();
  const nothing = empty("No scalars have been reported.", 'report.scalar("train", "loss", value, step)');
  const element = h("div", { class: "scalars" }, scalarTools(state), nothing, grid.element);
  let series = [];
  let runs = [];
  let askedByTime = null;

  function draw() {
    const { x, smooth, log, series: wanted } = state.get();
    const gaps = new Map(runs.map(({ id, task }) => [id, gapsOf(task)]));
    const all = [...series, ...withoutPoints(series, gaps)];
    nothing.hidden = all.length > 0;
    const byId = new Map(runs.map((run) => [run.id, run]));
    const place = new Map(runs.map((run, index) => [run.id, index]));
    const charts = new Map();
    for (const one of all) {
      const run = byId.get(one.task);
      const name = seriesKey(one.metric, one.variant);
      if (!run || run.hidden || !name.toLowerCase().includes(wanted.toLowerCase())) continue;
      const key = byMetric ? one.metric : name;
      if (!charts.has(key)) charts.set(key, { machine: isMachine(one.metric), lines: [] });
      charts.get(key).lines.push({ ...one, run, gaps: gaps.get(run.id).get(name) ?? "" });
    }
    for (const { lines } of charts.values())
      lines.sort((a, b) => place.get(a.task) - place.get(b.task) || compareText(a.variant, b.variant));
    const keys = mainFirst(
      [...charts.keys()],
      runs.map(({ task }) => task),
    );
    grid.update(keys.map((key) => card(key, charts.get(key), { x, smooth, log })));
  }

  function card(key, { machine, lines }, { x, smooth, log }) {
    const title = machine ? key.replace(":monitor:", "") : key;
    const shape = { x, smooth, few: lines.length <= 12, unit: spanUnit(lines)[1] };
    const drawn = lines.flatMap((line, index) =>
      toLines(line, byMetric ? { ...lineStyle(index), name: line.variant } : { ...line.run.style, name: line.run.name }, shape),
    );
    const nameOf = (line) => (byMetric ? line.variant : line.run.name);
    const label = `${title}: ${lines.map(nameOf).join(", ")}`.slice(0, 300);
    const broken = lines.filter(({ gaps }) => gaps).map((line) => [`${nameOf(line)} not finite`, line.gaps]);
    return {
      key,
      title,
      note: listed(broken),
      group: machine ? "Machine" : null,
      draw: (place) =>
        drawLines(place, drawn, { xTitle: axisTitle(x, lines), log, dates: x === "wall", legend: byMetric && lines.length > 1, label }),
    };
  }

  return {
    element,
    draw,
    /** Asks for the points of these runs and draws them. */
    async refresh(wanted) {
      plotly().catch(() => {}); // it loads while the points do; drawing says when it cannot
      runs = wanted;
      const byTime = state.get().x !== "iter";
      const samples = Math.max(200, Math.min(2000, Math.round(20000 / Math.max(1, runs.length))));
      series = await fetchScalars(
        runs.map(({ id }) => id),
        byTime,
        samples,
      );
      askedByTime = byTime;
      draw();
    },
    /** Whether the points at hand are over the other kind of x axis. */
    stale: () => askedByTime !== (state.get().x !== "iter"),
    show(wanted) {
      runs = wanted;
      draw();
    },
  };
}

const HOUR = 3_600_000;

/** The unit of a relative time axis, from the longest line on it, in ms. */
const spanUnit = (lines) => {
  const longest = Math.max(0, ...lines.filter(({ x }) => x.length).map(({ x }) => x.at(-1) - x[0]));
  return longest > 2 * HOUR ? ["hours", HOUR] : longest > 180_000 ? ["minutes", 60_000] : ["seconds", 1000];
};

const axisTitle = (x, lines) => (x === "iter" ? "iteration" : x === "wall" ? "" : `${spanUnit(lines)[0]} since the first point`);

function toLines({ x, y, iter, gaps }, look, { x: axis, smooth, few, unit }) {
  const broken = withGaps(x, y, iter, stretches(gaps));
  const along = (times) =>
    axis === "relative" ? times.map((time) => (time - x[0]) / unit) : axis === "wall" ? times.map((time) => new Date(time)) : times;
  const line = { ...look, x: along(broken.x), y: smoothed(broken.y, smooth) };
  const places = along(broken.marks.map((mark) => (axis === "iter" ? mark.first : broken.x[mark.beside])));
  const marks = broken.marks.map(({ beside, text }, index) => ({ x: places[index], y: line.y[beside], text }));
  return [...(smooth && few ? [{ ...line, y: broken.y, faint: true }] : []), { ...line, marks }];
}

/**
 * A line that is interrupted (null) where its series was not finite, and for each such stretch a mark: {first, text, beside}, the last one
 * the index of the point before it, or else of the one after.
 */
function withGaps(x, y, iter, gaps) {
  const line = { x: [], y: [], marks: [] };
  let next = 0;
  for (const { first, text } of gaps) {
    const end = iter.findIndex((iteration) => iteration >= first);
    const until = Math.max(next, end < 0 ? iter.length : end);
    line.x.push(...x.slice(next, until));
    line.y.push(...y.slice(next, until));
    if (until > 0 && until < x.length) {
      line.x.push(x[until - 1]);
      line.y.push(null);
    }
    if (x.length) line.marks.push({ first, text, beside: until > 0 ? line.x.length - (until < x.length ? 2 : 1) : 0 });
    next = until;
  }
  line.x.push(...x.slice(next));
  line.y.push(...y.slice(next));
  return line;
}

/** Series of which no value was finite: the server has no points of them, their names are among the gaps of each run. */
function withoutPoints(series, gaps) {
  const known = new Set(series.map(({ task, metric, variant }) => `${task} ${seriesKey(metric, variant)}`));
  return [...gaps].flatMap(([id, ofRun]) =>
    [...ofRun.keys()]
      .filter((name) => !known.has(`${id} ${name}`))
      .map((name) => {
        const [metric, variant] = partsOf(name);
        return { metric, variant, task: id, x: [], y: [], iter: [] };
      }),
  );
}
