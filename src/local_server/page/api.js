// The ClearML API as the page needs it: the same end points as the SDK's, signed in by the cookie.

/** The server refused; `status` is the HTTP status, 0 when there was no answer at all. */
class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Calls one end point and returns its `data`. Raises ApiError. */
export async function call(endpoint, body = {}) {
  let response;
  try {
    response = await fetch(`/${endpoint}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      credentials: "same-origin",
    });
  } catch {
    throw new ApiError("The server does not answer. Is it still running?", 0);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(answer.meta?.result_msg || `${endpoint}: HTTP ${response.status}`, response.status);
  return answer.data ?? {};
}

const PAGE = 500; // a task in the table takes about 1 kB

/** Tasks that match `query` (a tasks.get_all body without paging), page by page, so that the first can be shown early. */
export async function* taskPages(query, size = PAGE) {
  for (let page = 0; ; page += 1) {
    const { tasks = [] } = await call("tasks.get_all", { ...query, page, page_size: size });
    yield tasks;
    if (tasks.length < size) return;
  }
}

/** Tasks by id, in the order asked for; the ones that are gone are left out. */
export async function tasksById(ids, fields = undefined) {
  if (!ids.length) return [];
  const { tasks = [] } = await call("tasks.get_all", { id: ids, only_fields: fields, page: 0, page_size: ids.length, search_hidden: true });
  const found = new Map(tasks.map((task) => [task.id, task]));
  return ids.map((id) => found.get(id)).filter(Boolean);
}

export async function taskById(id) {
  return (await call("tasks.get_by_id", { task: id })).task;
}

/** Project names by id, hidden ones (those of datasets) included. */
export async function projectNames() {
  const { projects = [] } = await call("projects.get_all", { only_fields: ["id", "name"], search_hidden: true });
  return new Map(projects.map((project) => [project.id, project.name]));
}

/**
 * Scalars of up to 100 runs as a list of {metric, variant, task, x, y, iter}; x is the iteration, or the time in ms when `byTime`.
 * The server thins each series out to about `samples` points.
 */
export async function scalars(ids, byTime, samples) {
  const data = await call("events.multi_task_scalar_metrics_iter_histogram", { tasks: ids, key: byTime ? "timestamp" : "iter", samples });
  const series = [];
  for (const [metric, variants] of Object.entries(data.metrics ?? data)) {
    for (const [variant, runs] of Object.entries(variants)) {
      for (const [task, points] of Object.entries(runs))
        if (points?.x?.length) series.push({ metric, variant, task, x: points.x, y: points.y, iter: points.iter ?? points.x });
    }
  }
  return series;
}

/** Lines of the console: the last `count` before `before` (ms since 1970), or the next ones from `from` on. Oldest first. */
export async function logLines(task, { from = undefined, before = undefined, count = 1000 } = {}) {
  const { events = [], total } = await call("events.get_task_log", {
    task,
    batch_size: count,
    navigate_earlier: from === undefined,
    order: "asc",
    from_timestamp: from ?? before,
  });
  return { events, total };
}

/** Debug images of the latest `iterations` of each run, newest first: a list of {task, iter, metric, variant, url}. */
export async function debugImages(ids, iterations) {
  const data = await call("events.debug_images", { metrics: ids.map((task) => ({ task })), iters: iterations });
  const images = (data.metrics ?? []).flatMap(({ task, iterations: groups }) =>
    (groups ?? []).flatMap(({ iter, events }) =>
      (events ?? []).map((event) => ({ ...event, task: event.task ?? task, iter: event.iter ?? iter })),
    ),
  );
  return newestOfEachFile(images.sort((a, b) => b.iter - a.iter));
}

/** The SDK keeps the last five files of a series and writes over older ones: an older event would show a newer picture. */
function newestOfEachFile(images) {
  const seen = new Set();
  return images.filter(({ url }) => !seen.has(url) && seen.add(url));
}

/** Plots of a run, newest iteration first: {metric, variant, iter, plot_str}. */
export async function plots(task) {
  const { plots: events = [] } = await call("events.get_task_plots", { task, iters: 1, no_scroll: true });
  return events;
}

/** Ends a run: a queued one leaves its queue, a running one is told to stop by its agent. */
export async function stopTask(task) {
  if (task.status === "queued") return call("tasks.dequeue", { task: task.id, status_reason: "removed from the page" });
  return call("tasks.stop", { task: task.id, status_reason: "stopped from the page" });
}
