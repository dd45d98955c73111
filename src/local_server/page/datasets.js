// Published datasets with their versions, sizes and parents.

import { projectNames, taskPages } from "./api.js";
import { copyable, empty, h, replace } from "./dom.js";
import { bytes, compareText, isActive, moment, plural, when } from "./format.js";
import { statusMark, tagList } from "./marks.js";
import { poll } from "./poll.js";
import { createState } from "./state.js";
import { createTable, sorted } from "./table.js";

const STRUCTURE = "Dataset Struct"; // the SDK's name of the configuration that holds a dataset's ancestry
const FIELDS = [
  "id",
  "name",
  "project",
  "status",
  "status_reason",
  "status_message",
  "tags",
  "created",
  "runtime",
  `configuration.${STRUCTURE}`,
];

export async function show(main) {
  document.title = "Datasets";
  const state = createState({ q: "", sort: "-created" });
  const filter = h("input", {
    type: "search",
    placeholder: "Name, version, tag…",
    value: state.get().q,
    on: { input: () => state.set({ q: filter.value }, { push: false }) },
  });
  const count = h("p", { class: "count", role: "status" });
  const place = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Datasets" });
  replace(
    main,
    h(
      "div",
      { class: "view" },
      h("h1", { class: "unseen" }, "Datasets"),
      h("div", { class: "tools" }, h("label", { class: "field grow" }, h("span", { class: "unseen" }, "Filter"), filter), count),
      place,
    ),
  );
  const table = createTable({
    caption: "Datasets",
    rowKey: (task) => task.id,
    rowName: (task) => task.name,
    on: { sort: (sort) => state.set({ sort }) },
  });
  let tasks = [];
  let projects = new Map();

  function draw() {
    const { q, sort } = state.get();
    const words = q.toLowerCase().split(/\s+/);
    const columns = columnsFor(projects, tasks);
    const text = (task) =>
      [task.name, projects.get(task.project), task.runtime?.version, ...(task.tags ?? []), task.id].join("\n").toLowerCase();
    const rows = sorted(
      tasks.filter((task) => words.every((word) => text(task).includes(word))),
      columns,
      sort,
      compareText,
    );
    table.update(rows, { columns, sort });
    count.textContent =
      rows.length === tasks.length ? plural(tasks.length, "version") : `${rows.length} of ${plural(tasks.length, "version")}`;
    if (document.activeElement !== filter) filter.value = q;
    const shown = !tasks.length
      ? empty("No datasets yet. To publish a folder, run:", "registry dataset create NAME --folder DIR")
      : rows.length
        ? table.element
        : empty("No dataset matches this filter.");
    if (place.firstChild !== shown) replace(place, shown);
  }

  state.subscribe(draw);
  poll(
    async () => {
      const found = [];
      for await (const page of taskPages({
        only_fields: FIELDS,
        system_tags: ["dataset", "-archived"],
        order_by: ["-created"],
        search_hidden: true,
      }))
        found.push(...page);
      projects = await projectNames();
      tasks = found;
      draw();
    },
    () => (tasks.some(isActive) ? 4000 : 20000),
  );
}

/** The project a person gave it: the SDK puts each dataset into a hidden one below, `PROJECT/.datasets/NAME`. */
const projectOf = (task, projects) => (projects.get(task.project) ?? "").replace(/\/?\.datasets\/.*$/, "");

/** IDs of the versions that this one was made from. */
function parentsOf(task) {
  let nodes;
  try {
    nodes = JSON.parse(task.configuration?.[STRUCTURE]?.value ?? "{}");
  } catch {
    return [];
  }
  const own = Object.values(nodes).find((node) => node?.job_id === task.id);
  return (own?.parents ?? []).map((index) => nodes[index]?.job_id).filter(Boolean);
}

function columnsFor(projects, tasks) {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const versionName = (id) => (byId.has(id) ? `${byId.get(id).name} ${byId.get(id).runtime?.version ?? ""}`.trim() : id);
  const link = (id, text) => h("a", { href: `/task/${encodeURIComponent(id)}`, "data-focus": `link:${id}:${text}` }, text);
  const size = (task) => task.runtime?.ds_total_size;
  const count = (task) => task.runtime?.ds_file_count;
  return [
    {
      key: "name",
      label: "Name",
      value: (task) => task.name,
      version: (task) => task.name,
      wide: true,
      cell: (task) => link(task.id, task.name),
    },
    {
      key: "version",
      label: "Version",
      value: (task) => task.runtime?.version ?? "",
      version: (task) => task.runtime?.version ?? "",
      cell: (task) => task.runtime?.version ?? "",
    },
    {
      key: "project",
      label: "Project",
      class: "muted",
      value: (task) => projectOf(task, projects),
      version: (task) => projectOf(task, projects),
      cell: (task) => projectOf(task, projects),
    },
    {
      key: "size",
      label: "Size",
      numeric: true,
      value: (task) => Number(size(task) ?? 0),
      version: (task) => String(size(task)),
      cell: (task) => (size(task) === undefined ? "" : bytes(Number(size(task)))),
    },
    {
      key: "files",
      label: "Files",
      numeric: true,
      value: (task) => Number(count(task) ?? 0),
      version: (task) => String(count(task)),
      cell: (task) => (count(task) === undefined ? "" : Number(count(task)).toLocaleString("en")),
    },
    {
      key: "parents",
      label: "Parents",
      sort: false,
      version: (task) => JSON.stringify(parentsOf(task).map(versionName)),
      cell: (task) => parentsOf(task).map((id) => h("div", {}, link(id, versionName(id)))),
    },
    { key: "status", label: "Status", value: (task) => task.status, version: (task) => task.status, cell: statusMark },
    {
      key: "created",
      label: "Created",
      numeric: true,
      value: (task) => moment(task.created)?.getTime(),
      version: (task) => task.created,
      cell: (task) => when(moment(task.created)),
    },
    {
      key: "tags",
      label: "Tags",
      class: "tags",
      value: (task) => (task.tags ?? []).join(" "),
      version: (task) => JSON.stringify(task.tags),
      cell: (task) => tagList(task.tags),
    },
    { key: "id", label: "ID", sort: false, version: (task) => task.id, cell: (task) => copyable(task.id, "the dataset's ID") },
  ];
}
