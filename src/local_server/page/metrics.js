// What a run has reported: last values, which of them matters most, and where they were not finite. The last two are user properties
// of the task, as harness/metrics.py and harness/gaps.py write them. Pure functions.

import { compareText } from "./format.js";

export const isMachine = (metric) => metric.startsWith(":monitor:");

/** One name for a series. A variant named as its metric is not said twice. */
export const seriesKey = (metric, variant) => (variant && variant !== metric ? `${metric}/${variant}` : metric);

/** Metric and variant of "metric/variant", parted at the middle slash when both are the same, else at the last one. */
export function partsOf(name) {
  const middle = (name.length - 1) / 2;
  const twice = name[middle] === "/" && name.slice(0, middle) === name.slice(middle + 1);
  const cut = twice ? middle : name.lastIndexOf("/");
  return cut < 0 ? [name, ""] : [name.slice(0, cut), name.slice(cut + 1)];
}

const keyOf = (name) => seriesKey(...partsOf(name));

/** The JSON object in one of a task's user properties; {} where there is none, or a person has written something else. */
function property(task, name) {
  try {
    const found = JSON.parse(task.hyperparams?.properties?.[name]?.value ?? "{}");
    return found && typeof found === "object" ? found : {};
  } catch {
    return {};
  }
}

/** Where a task's series were not finite, in words ("at steps 3 to 5, since step 9"), by name. */
export const gapsOf = (task) => new Map(Object.entries(property(task, "not_finite")).map(([name, text]) => [keyOf(name), String(text)]));

/** The stretches that such words tell of: {first, text}, `first` being a step. */
export const stretches = (words) =>
  words
    .split(", ")
    .filter(Boolean)
    .map((text) => ({ first: Number(/-?\d+/.exec(text)), text: `not finite ${text}` }));

const goesOn = (words) => words.includes("since");

/** Series whose last value was not finite: [name, words]. */
export const diverged = (task) => [...gapsOf(task)].filter(([, words]) => goesOn(words));

/**
 * Last values of a task's own scalars by name: {value, min, max, gaps}; the machine's (GPU, memory) are left out. One that is not finite
 * any more has no values.
 */
export function lastMetrics(task) {
  const found = new Map();
  for (const variants of Object.values(task.last_metrics ?? {})) {
    for (const event of Object.values(variants ?? {})) {
      if (!event?.metric || isMachine(event.metric) || typeof event.value !== "number") continue;
      found.set(seriesKey(event.metric, event.variant), { value: event.value, min: event.min_value, max: event.max_value });
    }
  }
  for (const [name, gaps] of gapsOf(task)) if (!isMachine(name)) found.set(name, goesOn(gaps) ? { gaps } : { ...found.get(name), gaps });
  return found;
}

/** Names in the order of people; those that the tasks' workloads judge a run by come before all others. */
export function mainFirst(names, tasks) {
  const patterns = mainPatterns(tasks);
  const rank = (name) => {
    const place = patterns.findIndex((pattern) => pattern.test(name));
    return place < 0 ? patterns.length : place;
  };
  const ranked = names.map((name) => [rank(name), name]);
  return ranked.sort(([m, a], [n, b]) => m - n || compareText(a, b)).map(([, name]) => name);
}

/** What a run is judged by, among the scalars that it has reported. */
export function mainOf(task) {
  const patterns = mainPatterns([task]);
  return mainFirst([...lastMetrics(task).keys()], [task]).find((name) => patterns.some((pattern) => pattern.test(name)));
}

const literal = (text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");

/** A name as a pattern in which a star stands for anything. It takes no step back (what is found stays found): many stars cost no more. */
function patternOf(name) {
  const [first, ...rest] = keyOf(name).split("*").map(literal);
  const last = rest.pop();
  const middle = rest.map((part, index) => `(?=(.*?${part}))\\${index + 1}`);
  return new RegExp(`^${first}${middle.join("")}${last === undefined ? "" : `.*${last}`}$`, "s");
}

const mainPatterns = (tasks) => {
  const names = tasks.flatMap((task) => property(task, "metrics").main ?? []);
  return [...new Set(names)].map((name) => patternOf(String(name)));
};
