// A run's settings and where it comes from.

import { empty, h, redraw } from "./dom.js";
import { compareText, moment, workload } from "./format.js";

const ORDER = ["Settings", "Args", "properties"]; // sections people look for first
const TITLES = { Args: "Arguments as given", properties: "Properties" };
const ID = /^[0-9a-f]{32}$/;

export function createOverview() {
  const filter = h("input", { type: "search", placeholder: "Setting…", on: { input: () => apply() } });
  const sections = h("div", { class: "sections" });
  const facts = h("aside", { class: "card facts-card", "aria-label": "Origin" });
  const element = h(
    "div",
    { class: "overview" },
    h(
      "div",
      {},
      h("div", { class: "tools" }, h("label", { class: "field" }, h("span", { class: "unseen" }, "Filter the settings"), filter)),
      sections,
    ),
    facts,
  );

  function apply() {
    const wanted = filter.value.toLowerCase();
    sections.querySelectorAll("tr").forEach((row) => (row.hidden = !row.textContent.toLowerCase().includes(wanted)));
  }

  return {
    element,
    async refresh(task) {
      const names = Object.keys(task.hyperparams ?? {}).sort((a, b) => rank(a) - rank(b) || compareText(a, b));
      const shown = names.filter((name) => Object.keys(task.hyperparams[name] ?? {}).length);
      const settings = () =>
        shown.length ? shown.map((name) => section(name, task.hyperparams[name])) : empty("This run has no settings.");
      redraw(sections, [task.hyperparams, task.configuration], () => [settings(), configurations(task)]);
      const { script, container, last_worker: agent, started, completed, last_iteration: iteration } = task;
      redraw(facts, [script, container, agent, started, completed, iteration], () => [h("h2", {}, "Origin"), origin(task)]);
      apply();
    },
  };
}

const rank = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);

function section(name, items) {
  const rows = Object.keys(items)
    .sort(compareText)
    .map((key) => h("tr", {}, h("th", { scope: "row" }, key), h("td", {}, value(key, items[key]?.value))));
  return h("table", { class: "pairs card" }, h("caption", {}, TITLES[name] ?? name), h("tbody", {}, rows));
}

/** Settings that name another task lead to it. */
function value(key, text) {
  const shown = String(text ?? "");
  return /(dataset_id|resume|init_from)$/.test(key) && ID.test(shown) ? h("a", { href: `/task/${shown}` }, shown) : shown;
}

function configurations(task) {
  const items = Object.entries(task.configuration ?? {});
  return items.map(([name, item]) => h("details", { class: "card" }, h("summary", {}, name), h("pre", {}, String(item?.value ?? ""))));
}

function origin(task) {
  const script = task.script ?? {};
  const date = (text) => moment(text)?.toLocaleString() ?? "";
  const facts = {
    Workload: workload(task),
    Type: task.type,
    Script: [script.working_dir, script.entry_point].filter((part) => part && part !== ".").join("/"),
    Branch: script.branch,
    Commit: script.version_num,
    Repository: script.repository,
    "Uncommitted changes": script.diff ? `${script.diff.split("\n").length} lines` : "",
    Image: task.container?.image,
    Agent: task.last_worker,
    Created: date(task.created),
    Started: date(task.started),
    Ended: date(task.completed),
    Iterations: task.last_iteration > 0 ? task.last_iteration : "",
    Parent: task.parent && h("a", { href: `/task/${encodeURIComponent(task.parent)}` }, task.parent),
  };
  const diff = script.diff && h("details", {}, h("summary", {}, "Show the changes"), h("pre", {}, script.diff));
  return [
    h(
      "dl",
      {},
      Object.entries(facts)
        .filter(([, fact]) => fact)
        .map(([name, fact]) => [h("dt", {}, name), h("dd", {}, fact)]),
    ),
    diff,
  ];
}
