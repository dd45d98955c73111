// Up to 100 runs beside one another: settings, scalars, parallel coordinates, images. What is shown is in the address.

import { tasksById } from "./api.js";
import { empty, h, redraw, replace } from "./dom.js";
import { isActive, plural } from "./format.js";
import { createImageComparison } from "./images.js";
import { lineStyle, statusMark, swatch } from "./marks.js";
import { diverged } from "./metrics.js";
import { createParallel } from "./parallel.js";
import { notice, poll } from "./poll.js";
import { createScalars, SCALAR_STATE } from "./scalars.js";
import { createSettings } from "./settings.js";
import { createState } from "./state.js";
import { createTabs } from "./tabs.js";
import { MOST_COMPARED } from "./toolbar.js";

const TABS = { scalars: "Scalars", settings: "Settings", parallel: "Parallel coordinates", images: "Images" };
const DEFAULTS = { ids: [], tab: "scalars", hide: [], diff: true, find: "", metric: "", best: "value", axes: [], at: -1, ...SCALAR_STATE };

export async function show(main) {
  const state = createState(DEFAULTS);
  const asked = state.get().ids;
  if (!asked.length) return void replace(main, empty("Select runs in the table of experiments, then press Compare."));
  const ids = () => [...new Set(state.get().ids)].slice(0, MOST_COMPARED);
  const legend = createLegend(state);
  const panels = {
    scalars: scalarPanel(state),
    settings: createSettings(state),
    parallel: createParallel(state),
    images: imagePanel(state),
  };
  const tabs = createTabs(TABS, panels, state);
  const title = h("h1", {});
  const add = h("a", { class: "button" }, "Add or remove runs");
  const hint = h("p", { class: "muted", hidden: true });
  replace(
    main,
    h(
      "div",
      { class: "view compare" },
      h("header", { class: "title" }, title, hint, h("span", { class: "spacer" }), add),
      h("div", { class: "with-legend" }, legend.element, tabs.element),
    ),
  );

  let tasks = [];
  const shown = () => {
    const hidden = new Set(state.get().hide);
    const names = distinctNames(tasks);
    return tasks.map((task) => ({
      id: task.id,
      task,
      name: names.get(task.id),
      style: lineStyle(ids().indexOf(task.id)),
      hidden: hidden.has(task.id),
    }));
  };
  async function draw(fresh) {
    const runs = shown();
    title.textContent = `Comparing ${plural(runs.length, "run")}`;
    document.title = title.textContent;
    const left = ids().length - tasks.length;
    hint.hidden = !left && state.get().ids.length <= MOST_COMPARED;
    hint.textContent = left
      ? `${plural(left, "run is", "runs are")} not on this server.`
      : `The first ${MOST_COMPARED} of ${state.get().ids.length}.`;
    add.href = `/?pick=${ids().map(encodeURIComponent).join(",")}`;
    legend.update(runs);
    await tabs.refresh(runs, fresh);
  }
  const ask = poll(
    async () => {
      tasks = await tasksById(ids());
      await draw(true);
    },
    () => (tasks.some(isActive) ? 4000 : 30000),
  );
  let before = String(ids());
  state.subscribe(() => {
    if (String(ids()) !== before) ask();
    else draw(false).catch(notice);
    before = String(ids());
  });
}

/** Runs by name; those that share one get the beginning of their ID with it. */
function distinctNames(tasks) {
  const counts = new Map();
  for (const { name } of tasks) counts.set(name, (counts.get(name) ?? 0) + 1);
  return new Map(tasks.map(({ id, name }) => [id, counts.get(name) > 1 ? `${name} (${id.slice(0, 6)})` : name]));
}

/** A panel that asks the server when there is something new, and otherwise draws what it has. */
function lazily(panel, stale) {
  let version = null;
  return {
    element: panel.element,
    async refresh(runs) {
      const now = JSON.stringify(runs.map(({ task }) => [task.id, task.last_update, task.last_iteration]));
      if (now === version && !stale()) return panel.show(runs);
      version = now;
      return panel.refresh(runs);
    },
  };
}

const scalarPanel = (state) => {
  const charts = createScalars(state);
  return lazily(charts, charts.stale);
};
const imagePanel = (state) => lazily(createImageComparison(state), () => false);

/** The runs with their colours: shown or hidden by check boxes, taken out by a button. */
function createLegend(state) {
  const list = h("ul", { class: "legend" });
  const all = h("button", { type: "button", on: { click: () => state.set({ hide: [] }) } }, "Show all");
  const none = h("button", { type: "button", on: { click: () => state.set({ hide: state.get().ids }) } }, "Hide all");
  const many = h("div", { class: "legend-tools", hidden: true }, all, none);
  const element = h("aside", { class: "runs", "aria-label": "Runs" }, many, list);

  function item(run) {
    const { hide, ids } = state.get();
    const box = h("input", {
      type: "checkbox",
      checked: !run.hidden,
      "aria-label": `Show ${run.name}`,
      "data-focus": `show:${run.id}`,
      on: { change: () => state.set({ hide: box.checked ? hide.filter((id) => id !== run.id) : [...hide, run.id] }) },
    });
    const takeOut = () => state.set({ ids: ids.filter((id) => id !== run.id) });
    const out = h(
      "button",
      { type: "button", class: "remove", "aria-label": `Remove ${run.name}`, title: "Remove from the comparison", on: { click: takeOut } },
      "×",
    );
    const name = h("a", { href: `/task/${encodeURIComponent(run.id)}`, title: run.name, "data-focus": `run:${run.id}` }, run.name);
    return h("li", { class: run.hidden ? "off" : null }, box, swatch(run.style), name, statusMark(run.task), out);
  }

  return {
    element,
    update(runs) {
      const { ids, hide } = state.get();
      many.hidden = runs.length < 6;
      const facts = runs.map(({ id, name, hidden, task }) => [id, name, hidden, task.status, diverged(task)]);
      redraw(list, [facts, ids, hide], () => runs.map(item));
    },
  };
}
