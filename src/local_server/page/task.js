// One run: what it is, what it says, what it made.

import { projectNames, taskById } from "./api.js";
import { copyable, empty, h, redraw, replace } from "./dom.js";
import { duration, isActive, moment, reasonOf, runtime, when, workload } from "./format.js";
import { createArtifacts } from "./artifacts.js";
import { createImages } from "./images.js";
import { createLog } from "./log.js";
import { listed, statusMark, tagList } from "./marks.js";
import { diverged } from "./metrics.js";
import { createOverview } from "./overview.js";
import { createPlots } from "./plots.js";
import { notice, poll } from "./poll.js";
import { createScalars, SCALAR_STATE } from "./scalars.js";
import { createState } from "./state.js";
import { createStop } from "./stop.js";
import { createTabs } from "./tabs.js";

const TABS = { overview: "Settings", log: "Log", scalars: "Scalars", plots: "Plots", images: "Images", artifacts: "Artifacts" };
const FAST = 2000; // while the run is active, ms
const SLOW = 15000;

export async function show(main, { id }) {
  const state = createState({ tab: "overview", ...SCALAR_STATE });
  const header = h("header", { class: "task-header" });
  const panels = {
    overview: createOverview(id),
    log: createLog(id),
    scalars: scalarPanel(state),
    plots: createPlots(id),
    images: createImages([id]),
    artifacts: createArtifacts(id),
  };
  const tabs = createTabs(TABS, panels, state);
  replace(main, h("div", { class: "view task" }, header, tabs.element));

  let task = null;
  let project = "";
  const ask = poll(
    async () => {
      const before = task;
      try {
        task = await taskById(id);
      } catch (error) {
        if (error.status !== 400 && error.status !== 404) throw error;
        replace(main, empty("This server has no run with this ID.", id));
        task = { status: "unknown" };
        return;
      }
      if (before?.project !== task.project) project = (await projectNames()).get(task.project) ?? "";
      document.title = task.name;
      drawHeader(header, task, project, ask);
      await tabs.refresh(task);
    },
    () => (task && isActive(task) ? FAST : SLOW),
  );
  state.subscribe(() => task && tabs.refresh(task).catch(notice));
}

/** Scalars of this run, asked for anew only when it has reported something. */
function scalarPanel(state) {
  const charts = createScalars(state, { byMetric: true });
  let seen = null;
  return {
    element: charts.element,
    async refresh(task) {
      const version = `${task.last_update}/${task.last_iteration}`;
      const run = { id: task.id, name: task.name, task };
      if (version === seen && !charts.stale()) charts.show([run]);
      else await charts.refresh([run]);
      seen = version;
    },
  };
}

function drawHeader(header, task, project, ask) {
  if (header.querySelector("button[disabled], dialog[open]")) return; // a stop is under way
  const took = duration(runtime(task));
  const facts = [project, workload(task), task.started && `started ${when(moment(task.started))}`, took].filter(Boolean);
  const compare = h("a", { class: "button", href: `/?pick=${encodeURIComponent(task.id)}`, "data-focus": "compare" }, "Compare with…");
  const stop = isActive(task) && createStop(task, ask);
  const gone = diverged(task);
  redraw(header, [task.id, task.name, task.status, task.tags, reasonOf(task, "\n"), facts, gone], () => [
    h(
      "div",
      { class: "title" },
      h("h1", {}, task.name),
      statusMark(task),
      tagList(task.tags),
      h("span", { class: "spacer" }),
      compare,
      stop,
    ),
    h("p", { class: "muted facts" }, facts.join(" · "), " · ", copyable(task.id, "the run's ID")),
    task.status === "failed" && failure(task),
    gone.length > 0 && h("div", { class: "failure" }, h("strong", {}, "No longer finite: "), listed(gone)),
  ]);
}

function failure(task) {
  const reason = reasonOf(task, "\n");
  const told = reason ? h("span", { class: "reason" }, reason) : "It gave no reason; see the end of its log.";
  return h("div", { class: "failure", role: "alert" }, h("strong", {}, "This run failed. "), told);
}
