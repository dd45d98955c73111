// The runs that the table shows, kept up to date by asking only for what changed.

import { projectNames, taskPages, tasksById } from "./api.js";
import { moment } from "./format.js";

const FIELDS = [
  "id",
  "name",
  "type",
  "project",
  "status",
  "status_reason",
  "status_message",
  "tags",
  "system_tags",
  "created",
  "started",
  "completed",
  "active_duration",
  "last_update",
  "last_change",
  "last_iteration",
  "last_metrics",
  "hyperparams.properties",
  "script.entry_point",
  "script.working_dir",
];
const WHOLE = 120_000; // deleted runs are noticed by asking for all of them this often, ms

const FEW = 50; // more than change between two looks

const isRun = (task) => !["dataset", "archived"].some((tag) => (task.system_tags ?? []).includes(tag));

export function createRuns() {
  const tasks = new Map();
  let projects = new Map();
  let newest = 0; // last change seen, ms since 1970
  let asked = 0; // when everything was asked for last

  const query = { only_fields: FIELDS, order_by: ["-last_update"], system_tags: ["-dataset", "-archived"], search_hidden: true };
  const changed = (task) => moment(task.last_update)?.getTime() ?? 0;

  async function names() {
    if (!projects.size || [...tasks.values()].some((task) => !projects.has(task.project))) projects = await projectNames();
  }

  function take(page) {
    page.filter(isRun).forEach((task) => tasks.set(task.id, task));
    newest = page.reduce((latest, task) => Math.max(latest, changed(task)), newest);
  }

  async function loadAll(onPage) {
    const seen = new Set();
    for await (const page of taskPages(query)) {
      take(page);
      page.forEach((task) => seen.add(task.id));
      await names();
      onPage();
    }
    for (const id of tasks.keys()) if (!seen.has(id)) tasks.delete(id);
    asked = Date.now();
  }

  /** Asks for what changed since the last time: tasks come newest first, so it stops at the first page that ends with an old one. */
  async function loadChanges() {
    const since = newest;
    for await (const page of taskPages(query, FEW)) {
      take(page);
      if (page.some((task) => changed(task) < since)) break;
    }
    const active = [...tasks.values()].filter((task) => task.status === "in_progress" || task.status === "queued");
    take(
      await tasksById(
        active.map((task) => task.id),
        FIELDS,
      ),
    ); // a change of status alone may leave last_update as it was
    await names();
  }

  return {
    list: () => [...tasks.values()],
    projectOf: (task) => projects.get(task.project) ?? "",
    /** Brings the list up to date, calling `onPage` whenever there is something to show. */
    async refresh(onPage) {
      if (!asked || Date.now() - asked > WHOLE) await loadAll(onPage);
      else await loadChanges();
      onPage();
    },
  };
}
