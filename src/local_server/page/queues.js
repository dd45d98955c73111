// Queues with their waiting tasks in order, and the agents with what they do.

import { call, tasksById } from "./api.js";
import { empty, h, redraw, replace } from "./dom.js";
import { compareText, duration, moment, plural, workload } from "./format.js";
import { poll } from "./poll.js";

const FIELDS = ["id", "name", "status", "started", "script.entry_point", "script.working_dir"];
const SILENT = 120; // an agent reports every 30 s; after this long it counts as gone

export async function show(main) {
  document.title = "Queues";
  const place = h("div", { class: "queue-view" });
  replace(main, h("div", { class: "view" }, h("h1", { class: "unseen" }, "Queues"), place));
  poll(
    async () => {
      const [{ queues = [] }, { workers = [] }] = await Promise.all([
        call("queues.get_all", {}),
        call("workers.get_all", { last_seen: 3600 }),
      ]);
      const ids = [
        ...queues.flatMap((queue) => (queue.entries ?? []).map(({ task }) => task)),
        ...workers.map((worker) => worker.task?.id),
      ].filter(Boolean);
      const tasks = new Map((await tasksById([...new Set(ids)], FIELDS)).map((task) => [task.id, task]));
      const heard = workers.map(({ id, task, queues: served, last_activity_time: last }) => [id, task?.id, served, since(last)]);
      const tenSeconds = Math.floor(Date.now() / 10_000); // waiting times go on
      redraw(place, [queues, heard, [...tasks.values()], tenSeconds], () => [
        h("section", {}, h("h2", {}, "Queues"), queueCards(queues, tasks)),
        h("section", {}, h("h2", {}, "Agents"), agentTable(workers, tasks)),
      ]);
    },
    () => 4000,
  );
}

function queueCards(queues, tasks) {
  return queues.toSorted((a, b) => compareText(a.name, b.name)).map((queue) => queueCard(queue, tasks));
}

/** Seconds since an agent was heard, in steps of ten, so that the view changes no faster than there is something to see. */
const since = (text) => (moment(text) ? Math.max(0, Math.round((Date.now() - moment(text)) / 10_000) * 10) : null);

const taskLink = (id, tasks) => h("a", { href: `/task/${encodeURIComponent(id)}`, "data-focus": `task:${id}` }, tasks.get(id)?.name ?? id);

function queueCard(queue, tasks) {
  const entries = queue.entries ?? [];
  const waited = (added) => (moment(added) ? `${duration((Date.now() - moment(added)) / 1000)}` : "");
  const rows = entries.map(({ task, added }, index) =>
    h(
      "tr",
      {},
      h("td", { class: "muted" }, String(index + 1)),
      h("th", { scope: "row" }, taskLink(task, tasks)),
      h("td", { class: "muted" }, tasks.has(task) ? workload(tasks.get(task)) : ""),
      h("td", { class: "numeric" }, waited(added)),
    ),
  );
  const heads = ["Position", "Run", "Workload", "Waiting"];
  return h(
    "div",
    { class: "card queue" },
    h("h3", {}, queue.name, h("span", { class: "tally" }, plural(entries.length, "waiting run"))),
    entries.length
      ? h(
          "table",
          { class: "grid" },
          h("caption", { class: "unseen" }, `Runs waiting in ${queue.name}`),
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              heads.map((head, index) => h("th", { scope: "col", class: index === 3 ? "numeric" : null }, head)),
            ),
          ),
          h("tbody", {}, rows),
        )
      : h("p", { class: "muted" }, "Nothing is waiting. ", h("code", {}, `registry enqueue WORKLOAD --queue ${queue.name}`)),
  );
}

function agentTable(workers, tasks) {
  if (!workers.length) return empty("No agent is running. To start one, run:", "registry up --agents 1");
  const rows = workers
    .toSorted((a, b) => compareText(a.id, b.id))
    .map((worker) => {
      const quiet = since(worker.last_activity_time ?? worker.last_report_time);
      const gone = quiet !== null && quiet > SILENT;
      const doing = worker.task?.id ? taskLink(worker.task.id, tasks) : h("span", { class: "muted" }, gone ? "not heard of" : "idle");
      return h(
        "tr",
        {},
        h("th", { scope: "row" }, worker.id),
        h("td", {}, doing),
        h("td", {}, (worker.queues ?? []).map(({ name, id }) => name ?? id).join(", ")),
        h("td", { class: "numeric" }, quiet === null ? "" : quiet < 60 ? "now" : `${duration(quiet)} ago`),
      );
    });
  const heads = ["Agent", "Doing", "Serves", "Heard"];
  return h(
    "table",
    { class: "grid card" },
    h("caption", { class: "unseen" }, "Agents"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        heads.map((head) => h("th", { scope: "col", class: head === "Heard" ? "numeric" : null }, head)),
      ),
    ),
    h("tbody", {}, rows),
  );
}
