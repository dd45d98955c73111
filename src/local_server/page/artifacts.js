// Files that a run left: artifacts and models.

import { call } from "./api.js";
import { empty, fileAddress, h, replace } from "./dom.js";
import { bytes, moment, when } from "./format.js";

const MODEL_FIELDS = ["id", "name", "uri", "framework", "created", "ready", "tags"];

export function createArtifacts(id) {
  const element = h("div", { class: "artifacts" });
  let seen = null;
  return {
    element,
    async refresh(task) {
      const version = JSON.stringify([task.last_update, task.execution?.artifacts, task.models]);
      if (version === seen) return;
      const { models = [] } = await call("models.get_all", { task: [id], only_fields: MODEL_FIELDS });
      const inputs = await inputModels(task);
      const artifacts = task.execution?.artifacts ?? [];
      seen = version;
      const tables = [
        artifacts.length && table("Artifacts", ["Name", "Type", "Size", "Stored", "Preview"], artifacts.map(artifactRow)),
        models.length && table("Models", ["Name", "Framework", "Created", ""], models.map(modelRow)),
        inputs.length && table("Input models", ["Name", "Framework", "Created", ""], inputs.map(modelRow)),
      ].filter(Boolean);
      replace(element, tables.length ? tables : empty("No artifacts or models.", 'report.artifact("predictions", path)'));
    },
  };
}

async function inputModels(task) {
  const ids = (task.models?.input ?? []).map(({ model }) => model).filter(Boolean);
  return ids.length ? ((await call("models.get_all", { id: ids, only_fields: MODEL_FIELDS })).models ?? []) : [];
}

function table(title, heads, rows) {
  return h(
    "table",
    { class: "grid card" },
    h("caption", {}, title),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        heads.map((head) => h("th", { scope: "col" }, head)),
      ),
    ),
    h("tbody", {}, rows),
  );
}

/** A link that saves the file; its name as text where it lies elsewhere than on the web (s3://, a path). */
function download(name, uri) {
  const address = uri && fileAddress(uri);
  return address
    ? h("a", { href: address, download: uri.split("/").at(-1), rel: "noreferrer" }, name)
    : h("span", {}, name, h("br"), h("code", { class: "muted" }, uri ?? ""));
}

function artifactRow(artifact) {
  const preview = artifact.type_data?.preview;
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, download(artifact.key, artifact.uri)),
    h("td", {}, artifact.type),
    h("td", {}, bytes(artifact.content_size)),
    h("td", {}, artifact.timestamp ? when(new Date(artifact.timestamp * 1000)) : ""),
    h("td", {}, preview && h("details", {}, h("summary", {}, "Show"), h("pre", {}, preview))),
  );
}

function modelRow(model) {
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, download(model.name, model.uri)),
    h("td", {}, model.framework),
    h("td", {}, when(moment(model.created))),
    h("td", {}, model.ready ? "Published" : ""),
  );
}
