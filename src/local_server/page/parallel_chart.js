// Parallel coordinates: an axis per setting, the last one a metric, a line per run coloured by the metric.
// Drawn here because Plotly's own needs WebGL and eval, which the content security policy refuses.

import { svg } from "./dom.js";
import { compareText, number } from "./format.js";

const SIZE = { height: 430, top: 54, bottom: 34, side: 70 };
export const MISSING = "none"; // a run without the setting or the metric
export const NOT_FINITE = "not finite"; // one whose metric has diverged
const NO_NUMBER = new Set([MISSING, NOT_FINITE]);
const SCALE = [
  [68, 92, 196],
  [34, 158, 150],
  [240, 164, 58],
]; // low to high, readable on light and dark

/**
 * Where an axis puts its values: numbers linearly, or by powers of ten when they are positive and span ten times or more; words in order,
 * evenly. Returns {at(value) -> 0..1 from the bottom, ticks: [[place, label]]}.
 */
function scaleOf(values) {
  const numbers = values.filter((value) => !NO_NUMBER.has(value)).map(Number);
  const without = [...new Set(values.filter((value) => NO_NUMBER.has(value)))].join(", ");
  const distinct = [...new Set(values.map(String))];
  if (numbers.length && numbers.every(Number.isFinite)) {
    const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
    const log = low > 0 && high / low >= 10;
    const bend = (value) => (log ? Math.log10(value) : value);
    const base = without ? 0.12 : 0; // room below for runs without a value
    const at = (value) =>
      NO_NUMBER.has(value) ? 0 : high === low ? 0.5 : base + ((1 - base) * (bend(Number(value)) - bend(low))) / (bend(high) - bend(low));
    const few = [...new Set(numbers)].sort((a, b) => a - b);
    const marks =
      few.length <= 5
        ? few
        : [0, 0.25, 0.5, 0.75, 1].map((part) => (log ? 10 ** (bend(low) + part * (bend(high) - bend(low))) : low + part * (high - low)));
    return { at, ticks: [...marks.map((value) => [at(value), number(value)]), ...(base ? [[0, without]] : [])] };
  }
  distinct.sort(compareText);
  const at = (value) => (distinct.length === 1 ? 0.5 : distinct.indexOf(String(value)) / (distinct.length - 1));
  const step = Math.ceil(distinct.length / 20);
  return { at, ticks: distinct.filter((_, index) => index % step === 0).map((value) => [at(value), value]) };
}

/**
 * The chart as an SVG element. columns: [{label, values}], a value for each run; the last column is the metric that colours the lines.
 * `tell(text)` is called with a run's values while it is pointed at or has the focus, and with "" after that.
 */
export function drawParallel(runs, columns, width, tell) {
  const { height, top, bottom, side } = SIZE;
  const full = Math.max(width, columns.length * 120);
  const xOf = (index) => side + (index * (full - 2 * side)) / (columns.length - 1);
  const yOf = (part) => height - bottom - part * (height - top - bottom);
  const scales = columns.map(({ values }) => scaleOf(values));
  const lines = runs.map((run, row) => {
    const points = columns.map(({ values }, index) => [xOf(index), yOf(scales[index].at(values[row]))]);
    const said = columns.map(({ label, values }) => `${label} ${typeof values[row] === "number" ? number(values[row]) : values[row]}`);
    const summary = `${run.name}: ${said.join(", ")}`;
    const listeners = { mouseenter: () => tell(summary), focus: () => tell(summary), mouseleave: () => tell(""), blur: () => tell("") };
    const path = curve(points);
    const result = columns.at(-1).values[row];
    const stroke = NO_NUMBER.has(result) ? "#8b8e94" : colourAt(scales.at(-1).at(result));
    return svg(
      "a",
      {
        href: `/task/${encodeURIComponent(run.id)}`,
        "aria-label": summary,
        class: "run-line",
        "data-focus": `line:${run.id}`,
        on: listeners,
      },
      svg("path", { d: path, class: "halo" }),
      svg("path", { d: path, class: "ink", stroke }),
      points.map(([cx, cy]) => svg("circle", { cx, cy, r: 3, fill: stroke })),
    );
  });
  const axes = columns.map(({ label }, index) => axis(label, scales[index], xOf(index), yOf, index === columns.length - 1));
  return svg(
    "svg",
    { width: full, height, viewBox: `0 0 ${full} ${height}`, role: "group", "aria-label": "Parallel coordinates" },
    lines,
    axes,
  );
}

function axis(label, { ticks }, x, yOf, last) {
  const short = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);
  return svg(
    "g",
    { class: last ? "axis metric-axis" : "axis" },
    svg("line", { x1: x, x2: x, y1: yOf(0), y2: yOf(1) }),
    svg("text", { x, y: 26, class: "axis-name" }, svg("title", {}, label), short(label, 22)),
    ticks.map(([part, text]) => tick(short(String(text), 16), text, x, yOf(part))),
  );
}

/** A value beside its axis, on a plate that keeps it readable over the lines. */
function tick(label, whole, x, y) {
  const width = label.length * 7 + 6;
  return [
    svg("line", { x1: x - 4, x2: x, y1: y, y2: y }),
    svg("rect", { class: "plate", x: x - 6 - width, y: y - 8, width, height: 16, rx: 3 }),
    svg("text", { x: x - 8, y: y + 4, class: "tick" }, svg("title", {}, whole), label),
  ];
}

/** A line through the points that leaves each axis level, so that runs which cross can be told apart. */
function curve(points) {
  return points
    .map(([x, y], index) => {
      if (!index) return `M${x},${y}`;
      const [before, level] = points[index - 1];
      const bend = (x - before) * 0.4;
      return `C${before + bend},${level} ${x - bend},${y} ${x},${y}`;
    })
    .join("");
}

/** The colour of a place on the metric's axis, 0 to 1. */
function colourAt(part) {
  const place = part * (SCALE.length - 1);
  const index = Math.min(Math.floor(place), SCALE.length - 2);
  return `rgb(${SCALE[index].map((from, channel) => Math.round(from + (SCALE[index + 1][channel] - from) * (place - index))).join(",")})`;
}
