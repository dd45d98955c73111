// A table of rows with keys: sorted by its headers, picked by check boxes, updated in place so that focus and selection stay.

import { h, keepingFocus, replace } from "./dom.js";

/**
 * columns: [{key, label, numeric, wide, cell(row) -> node or text, version(row) -> text that changes when the cell does}]; a column without
 * `sort: false` has a header button. on: {sort(key), pick(row key, picked), pickAll(picked)}; without `pick` there are no check boxes.
 */
export function createTable({ caption, rowKey, rowName, on = {} }) {
  const head = h("thead");
  const body = h("tbody");
  const element = h("table", { class: "grid" }, h("caption", { class: "unseen" }, caption), head, body);
  const rows = new Map(); // key -> {tr, cells, versions}
  let columns = [];
  let headVersion = "";
  const all = h("input", { type: "checkbox", "aria-label": "Select all runs on this page", on: { change: () => on.pickAll(all.checked) } });

  function drawHead(sort) {
    const version = JSON.stringify([columns.map(({ key, label }) => [key, label]), sort]);
    if (version === headVersion) return;
    headVersion = version;
    keepingFocus(() =>
      replace(
        head,
        h(
          "tr",
          {},
          on.pick && h("td", { class: "pick" }, all),
          columns.map((column) => headCell(column, sort)),
        ),
      ),
    );
  }

  function headCell(column, sort) {
    const direction = sort === column.key ? "ascending" : sort === `-${column.key}` ? "descending" : null;
    const label =
      column.sort === false || !on.sort
        ? column.label
        : h(
            "button",
            { type: "button", class: "sort", "data-focus": `sort:${column.key}`, on: { click: () => on.sort(nextSort(column, sort)) } },
            column.label,
          );
    return h("th", { scope: "col", class: classOf(column), "aria-sort": direction, title: column.title }, label);
  }

  function drawRow(row, picked) {
    const key = rowKey(row);
    let drawn = rows.get(key);
    if (!drawn) rows.set(key, (drawn = newRow(key)));
    if (drawn.box) {
      drawn.box.checked = picked;
      drawn.box.setAttribute("aria-label", `Select ${rowName(row)}`);
      drawn.tr.classList.toggle("picked", picked);
    }
    columns.forEach((column, index) => {
      const version = column.version ? column.version(row) : null;
      if (version !== null && drawn.versions[index] === version && drawn.layout === headVersion) return;
      drawn.versions[index] = version;
      let cell = drawn.cells[index];
      if (!cell) drawn.tr.append((cell = drawn.cells[index] = h(index === 0 ? "th" : "td", index === 0 ? { scope: "row" } : {})));
      cell.className = classOf(column);
      keepingFocus(() => replace(cell, column.cell(row)));
    });
    while (drawn.cells.length > columns.length) drawn.cells.pop().remove();
    drawn.layout = headVersion;
    return drawn.tr;
  }

  function newRow(key) {
    const box = on.pick && h("input", { type: "checkbox", on: { change: (event) => on.pick(key, event.target.checked) } });
    return { tr: h("tr", { "data-key": key }, box && h("td", { class: "pick" }, box)), box, cells: [], versions: [], layout: "" };
  }

  return {
    element,
    /** Shows these rows in this order; `picked` is a set of keys, `sort` a column's key, with "-" in front for the largest first. */
    update(shown, { columns: wanted, sort = "", picked = new Set() }) {
      columns = wanted;
      drawHead(sort);
      const order = shown.map((row) => drawRow(row, picked.has(rowKey(row))));
      const keep = new Set(order);
      for (const [key, { tr }] of rows) if (!keep.has(tr)) rows.delete(key) && tr.remove();
      keepingFocus(() => {
        order.forEach((tr, index) => body.children[index] !== tr && body.insertBefore(tr, body.children[index] ?? null));
      });
      const count = shown.filter((row) => picked.has(rowKey(row))).length;
      all.checked = count > 0 && count === shown.length;
      all.indeterminate = count > 0 && count < shown.length;
    },
  };
}

const classOf = (column) => [column.numeric && "numeric", column.wide && "wide", column.class].filter(Boolean).join(" ");

/** Text columns start ascending, numbers and times with the largest. */
function nextSort(column, sort) {
  const first = column.numeric ? `-${column.key}` : column.key;
  const second = column.numeric ? column.key : `-${column.key}`;
  return sort === first ? second : first;
}

/** Rows ordered by a column's `value(row)`; rows without one come last either way. */
export function sorted(rows, columns, sort, compareText) {
  const column = columns.find(({ key }) => key === sort.replace(/^-/, ""));
  if (!column?.value) return rows;
  const sign = sort.startsWith("-") ? -1 : 1;
  const missing = (value) => value === null || value === undefined || value === "";
  const keyed = rows.map((row) => [column.value(row), row]);
  keyed.sort(([a], [b]) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    return sign * (typeof a === "number" && typeof b === "number" ? a - b : compareText(String(a), String(b)));
  });
  return keyed.map(([, row]) => row);
}
