// One run: what it is, what it says, what it made.

import { projectNames, stopTask, taskById } from "./api.js";
import { copyable, empty, h, replace } from "./dom.js";
import { duration, isActive, moment, runtime, when, workload } from "./format.js";
import { createArtifacts } from "./artifacts.js";
import { createImages } from "./images.js";
import { createLog } from "./log.js";
import { statusMark, tagList } from "./marks.js";
import { createOverview } from "./overview.js";
import { createPlots } from "./plots.js";
import { notice, poll } from "./poll.js";
import { createScalars, SCALAR_STATE } from "./scalars.js";
import { createState } from "./state.js";
import { createTabs } from "./tabs.js";

const TABS = { overview: "Settings", log: "Log", scalars: "Scalars", plots: "Plots", images: "Images", artifacts: "Artifacts" };
const FAST = 2000; // while the run is active, ms
const SLOW = 15000;

export async function show(main, { id }) {
  const state = createState({ tab: "overview", ...SCALAR_STATE });
  const header = h("header", { class: "task-header" });
  const panels = { overview: createOverview(id), log: createLog(id), scalars: scalarPanel(state), plots: createPlots(id), images: createImages([id]), artifacts: createArtifacts(id) };
  const tabs = createTabs(TABS, panels, state);
  replace(main, h("div", { class: "view task" }, header, tabs.element));

  let task = null;
  let project = "";
  const ask = poll(async () => {
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
  }, () => (task && isActive(task) ? FAST : SLOW));
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
      const run = { id: task.id, name: task.name };
      if (version === seen && !charts.stale()) charts.show([run]);
      else await charts.refresh([run]);
      seen = version;
    },
  };
}

function drawHeader(header, task, project, ask) {
  const version = JSON.stringify([task.status, task.name, task.tags, task.status_reason, task.status_message, project, task.started, Math.round(runtime(task))]);
  if (header.dataset.version === version) return;
  header.dataset.version = version;
  if (header.querySelector("button[disabled], dialog[open]")) return; // a stop is under way
  const focused = header.contains(document.activeElement) ? document.activeElement.className : null;
  const facts = [project, workload(task), task.started && `started ${when(moment(task.started))}`, duration(runtime(task))].filter(Boolean);
  replace(header,
    h("div", { class: "title" }, h("h1", {}, task.name), statusMark(task), tagList(task.tags), h("span", { class: "spacer" }),
      h("a", { class: "button", href: `/?pick=${encodeURIComponent(task.id)}` }, "Compare with…"), isActive(task) && stopButton(task, ask)),
    h("p", { class: "muted facts" }, facts.join(" · "), " · ", copyable(task.id, "the run's ID")),
    task.status === "failed" && failure(task),
  );
  if (focused) header.querySelector(`.${CSS.escape(focused.split(" ")[0])}`)?.focus();
}

function failure(task) {
  const reason = [task.status_reason, task.status_message].filter(Boolean);
  return h("div", { class: "failure", role: "alert" }, h("strong", {}, "This run failed. "),
    reason.length ? h("span", { class: "reason" }, reason.join("\n")) : "It left no reason: see the end of its log.");
}

function stopButton(task, ask) {
  const dialog = h("dialog", { "aria-labelledby": "stop-question" });
  const button = h("button", { type: "button", class: "stop danger", on: { click: () => dialog.showModal() } }, task.status === "queued" ? "Remove from queue" : "Stop");
  const confirm = h("button", { type: "button", class: "danger", on: { click: stop } }, "Stop the run");
  async function stop() {
    dialog.close();
    button.disabled = true;
    try {
      await stopTask(task);
    } catch (error) {
      notice(error);
    }
    button.disabled = false;
    ask();
  }
  if (task.status === "queued") confirm.textContent = "Remove it";
  replace(dialog, h("p", { id: "stop-question" }, task.status === "queued" ? "Remove this run from its queue?" : "Stop this run? Its last checkpoint is kept."),
    h("form", { method: "dialog", class: "actions" }, h("button", {}, "Cancel"), confirm));
  return [button, dialog];
}
