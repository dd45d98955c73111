// How values read: numbers, times, sizes, statuses. Pure functions.

const STATUS = {
  created: "Draft",
  queued: "Queued",
  in_progress: "Running",
  stopped: "Stopped",
  failed: "Failed",
  completed: "Completed",
  closed: "Closed",
  publishing: "Publishing",
  published: "Published",
  unknown: "Unknown",
};
export const STATUSES = Object.keys(STATUS);

export const statusLabel = (status) => STATUS[status] ?? String(status ?? "");
export const isActive = (task) => task.status === "queued" || task.status === "in_progress";

/** Why a run ended: in its own words, which are a user property that its agent does not replace, else in the server's. */
export function reasonOf(task, separator) {
  const own = task.hyperparams?.properties?.reason;
  if (own?.value && own.description === `of task ${task.id}, started ${task.started}`) return own.value;
  return [...new Set([task.status_reason, task.status_message])].filter(Boolean).join(separator);
}

/** Four significant digits; powers of ten below 1e-4 and from 1e6 on. */
export function number(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return value === null || value === undefined ? "" : String(value);
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e6) return value.toExponential(2).replace("e+", "e");
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}

/** A moment as the server writes it: ISO 8601, in UTC when no zone is given. */
export function moment(text) {
  if (!text) return null;
  const zoned = /(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`;
  const date = new Date(zoned);
  return Number.isNaN(date.getTime()) ? null : date;
}

/** Today's moments as a time of day, others with their date. */
export function when(date, now = new Date()) {
  if (!date) return "";
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  if (date.toDateString() === now.toDateString()) return time;
  const year = date.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return `${date.toLocaleDateString([], { day: "numeric", month: "short", year })}, ${time}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined || seconds < 0) return "";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  const two = (value) => String(value).padStart(2, "0");
  if (days) return `${days}d ${two(hours)}h`;
  if (hours) return `${hours}h ${two(minutes)}m`;
  return `${minutes}m ${two(whole % 60)}s`;
}

/** Seconds that a run took, or has taken so far; null before it started. */
export function runtime(task, now = Date.now()) {
  const started = moment(task.started);
  if (!started) return null;
  const ended = moment(task.completed);
  if (ended && ended >= started) return (ended - started) / 1000;
  return task.status === "in_progress" ? (now - started) / 1000 : (task.active_duration ?? null);
}

export function bytes(size) {
  if (size === null || size === undefined) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = size;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 && unit ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** The workload that a task runs: the folder below clearml_tasks/ that its script lies in; "" for other scripts. */
export function workload(task) {
  const path = [task.script?.working_dir, task.script?.entry_point].filter(Boolean).join("/");
  return /(?:^|\/)clearml_tasks\/([^/\s]+)/.exec(path)?.[1] ?? "";
}

const NOTED = new Set(["properties/metrics", "properties/not_finite", "properties/reason"]); // by the run of itself: no settings

/** Settings of a task as "section/key" -> text. */
export function settings(task) {
  const found = new Map();
  for (const [section, items] of Object.entries(task.hyperparams ?? {})) {
    for (const [name, item] of Object.entries(items ?? {})) found.set(`${section}/${name}`, String(item?.value ?? ""));
  }
  for (const noted of NOTED) found.delete(noted);
  return found;
}

/** Orders texts as people do: step 2 before step 10. */
export const compareText = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" }).compare;

export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
