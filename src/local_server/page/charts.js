// Charts by Plotly, which is loaded with the first one. Plotly reads some HTML in texts (<b>, <a href>): names go through `plain`.

import { fileAddress, h, isLocal, replace } from "./dom.js";

let loading;

/** Plotly itself. It is a classic script of 5 MB, so only pages with charts ask for it. */
export function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const failed = () => reject(new Error("The chart library could not be loaded."));
    document.head.append(h("script", { src: "/page/plotly.min.js", on: { load: () => resolve(window.Plotly), error: failed } }));
  });
  return loading;
}

/** A text as Plotly shows it literally. */
const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Layout that fits the page's light or dark look. */
function theme() {
  const axis = {
    gridcolor: colour("--line"),
    linecolor: colour("--line-strong"),
    zerolinecolor: colour("--line"),
    tickcolor: colour("--line-strong"),
    automargin: true,
  };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colour("--muted") },
    hoverlabel: {
      bgcolor: colour("--surface"),
      bordercolor: colour("--line-strong"),
      font: { color: colour("--text"), size: 12 },
      namelength: 48,
      align: "left",
    },
    xaxis: { ...axis },
    yaxis: { ...axis },
    margin: { l: 48, r: 12, t: 8, b: 36 },
  };
}

// No chart leaves this machine: without the button that uploads it, and the address that it is uploaded to.
const CONFIG = {
  displaylogo: false,
  responsive: true,
  showSendToCloud: false,
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendChartToCloud"],
};

/**
 * Lines on shared axes. lines: [{name, x, y, color, dash, faint, marks}]; a faint one has no name when pointed at; marks, [{x, y, text}],
 * tell where a line is interrupted.
 */
export async function drawLines(place, lines, { xTitle, log, dates = false, legend = false, label }) {
  const Plotly = await plotly();
  const traces = lines.flatMap(({ name, marks = [], x, y, color, dash, faint }) => [
    {
      type: "scatter",
      mode: x.length === 1 ? "markers" : marks.length ? "lines+markers" : "lines", // between two gaps there may be one point alone
      name: plain(name),
      x,
      y,
      connectgaps: false,
      line: { color, dash: faint ? "solid" : dash, width: faint ? 1 : lines.length > 20 ? 1.2 : 1.8 },
      marker: { color, size: x.length === 1 ? 7 : 3 },
      opacity: faint ? 0.28 : 1,
      hoverinfo: faint ? "skip" : "x+y+name",
      showlegend: legend && !faint,
      legendgroup: color + dash,
    },
    ...(marks.length ? [marksOf(plain(name), marks, color, color + dash)] : []),
  ]);
  const base = theme();
  const layout = {
    ...base,
    xaxis: { ...base.xaxis, title: { text: xTitle, standoff: 6 }, type: dates ? "date" : "linear" },
    yaxis: { ...base.yaxis, type: log ? "log" : "linear", hoverformat: ".5~g" },
    hovermode: lines.length > 12 ? "closest" : "x unified",
    showlegend: legend,
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
    margin: { ...base.margin, t: legend ? 30 : base.margin.t },
    height: 240,
    uirevision: `${xTitle}${log}`, // a zoom stays while new points arrive
  };
  if (!lines.some(({ x }) => x.length)) {
    layout.xaxis.visible = layout.yaxis.visible = false;
    layout.annotations = [{ text: "no value was finite", showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 }];
  }
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", label);
  await Plotly.react(place, traces, layout, CONFIG);
}

/** Crosses where a line is interrupted, with the reason when pointed at. */
const marksOf = (name, marks, color, group) => ({
  type: "scatter",
  mode: "markers",
  name,
  x: marks.map(({ x }) => x),
  y: marks.map(({ y }) => y),
  hovertext: marks.map(({ text }) => plain(text)),
  hovertemplate: "%{hovertext}<extra>%{fullData.name}</extra>",
  marker: { color, size: 9, symbol: "x", line: { width: 1, color: colour("--surface") } },
  cliponaxis: false,
  showlegend: false,
  legendgroup: group,
});

/** A figure that a run reported, as JSON text. It is someone else's: its texts are cleaned, its pictures come from this server only. */
export async function drawFigure(place, json, label) {
  const Plotly = await plotly();
  const { data = [], layout = {} } = cleanFigure(parseFigure(json));
  const base = theme();
  const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
  const themed = Object.fromEntries(axes.map((key) => [key, { ...base[key.slice(0, 5)], ...layout[key] }]));
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", label);
  const figure = {
    ...layout,
    ...base,
    xaxis: base.xaxis,
    yaxis: base.yaxis,
    ...themed,
    title: undefined,
    width: undefined,
    height: 380,
    autosize: true,
    margin: { l: 56, r: 20, t: 24, b: 44 },
  };
  await Plotly.react(place, data, figure, CONFIG);
}

/** A figure's JSON, in which Python also writes NaN and Infinity: those are gaps. */
function parseFigure(json) {
  try {
    return JSON.parse(json);
  } catch {
    return JSON.parse(json.replace(/"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g, (part) => (part.startsWith('"') ? part : "null")));
  }
}

const HARMLESS = /<(?!\/?(?:b|i|em|strong|br|sub|sup|extra)\s*\/?>)/gi;

/**
 * The figure with every tag but the plain ones shown as text and GL scatter traces (which need eval) as SVG ones, without foreign pictures,
 * buttons (those of the mode bar, too), and the ids that Plotly would put into a selector.
 */
function cleanFigure(figure) {
  const { data = [], layout = {} } = cleanTexts(figure);
  const images = (Array.isArray(layout.images) ? layout.images : []).map((image) => ({ ...image, source: pictureSource(image?.source) }));
  return {
    data: (Array.isArray(data) ? data : []).map((trace) => ({
      ...trace,
      uid: undefined,
      type: trace?.type === "scattergl" ? "scatter" : trace?.type,
    })),
    layout: { ...layout, images: images.filter(({ source }) => source), ...Object.fromEntries(["updatemenus", "sliders", "template", "modebar"].map((key) => [key, undefined])) },
  };
}

function cleanTexts(value) {
  if (typeof value === "string") return value.replace(HARMLESS, "&lt;");
  if (Array.isArray(value)) return value.map(cleanTexts);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, cleanTexts(item)]));
  return value;
}

function pictureSource(source) {
  if (/^data:image\/(png|jpeg|gif|webp);base64,/.test(source)) return source;
  const address = fileAddress(source ?? "");
  return isLocal(address) ? address : null;
}

/**
 * A grid of chart cards, drawn when they come into sight. `update(cards)` takes [{key, title, note, group, draw(place)}] and redraws those
 * in sight; cards of a group stand under its heading, closed until opened.
 */
export function createGrid() {
  const element = h("div", { class: "charts" });
  const cards = new Map(); // key -> {element, place, draw, stale, seen}
  const observer = new IntersectionObserver(
    (entries) =>
      entries.forEach(({ target, isIntersecting }) => {
        const card = cards.get(target.dataset.key);
        if (!card) return;
        card.seen = isIntersecting;
        paint(card);
      }),
    { rootMargin: "200px" },
  );

  async function paint(card) {
    if (!card.seen || !card.stale) return;
    card.stale = false;
    try {
      await card.draw(card.place);
    } catch (error) {
      replace(card.place, h("p", { class: "muted" }, `This chart cannot be shown: ${error.message}`));
    }
  }

  function make(key, title) {
    const place = h("div", { class: "plot" });
    const note = h("p", { class: "diverged", hidden: true });
    const card = { element: h("section", { class: "card", "data-key": key }, h("h3", {}, title), note, place), place, note, seen: false };
    observer.observe(card.element);
    return card;
  }

  return {
    element,
    update(wanted) {
      const keys = new Set(wanted.map(({ key }) => key));
      for (const [key, card] of cards) if (!keys.has(key)) cards.delete(key) && (observer.unobserve(card.element), card.element.remove());
      for (const { key, title, note, group, draw } of wanted) {
        if (!cards.has(key)) cards.set(key, make(key, title));
        const card = cards.get(key);
        card.note.textContent = note ?? "";
        card.note.hidden = !note;
        Object.assign(card, { draw, stale: true });
        groupOf(element, group).append(card.element);
        paint(card);
      }
      element.querySelectorAll("details.group").forEach((group) => (group.hidden = !group.querySelector(".card")));
    },
  };
}

function groupOf(element, name) {
  const wanted = name ?? "";
  const found = [...element.children].find((child) => child.dataset.group === wanted);
  if (found) return found.querySelector(".cards") ?? found;
  const cards = h("div", { class: "cards", "data-group": wanted });
  if (!name) {
    element.prepend(cards);
    return cards;
  }
  element.append(h("details", { class: "group", "data-group": name }, h("summary", {}, name), h("div", { class: "cards" }, [])));
  return element.lastChild.querySelector(".cards");
}
