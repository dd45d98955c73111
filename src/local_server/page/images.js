// Debug images of one run by iteration, or of several side by side.

import { debugImages } from "./api.js";
import { empty, fileAddress, h, isLocal, replace } from "./dom.js";
import { compareText } from "./format.js";
import { swatch } from "./marks.js";
import { seriesKey } from "./metrics.js";

const ITERATIONS = 10; // the latest ones, at first

/** Images of one run: a row of pictures per iteration, newest first. */
export function createImages([id]) {
  const list = h("div", {});
  const more = h("button", { type: "button", hidden: true, on: { click: () => ((wanted *= 3), load()) } }, "Show earlier iterations");
  const element = h("div", { class: "images" }, list, more);
  let wanted = ITERATIONS;
  let seen = null;

  async function load() {
    const images = await debugImages([id], wanted);
    const version = JSON.stringify(images.map(({ iter, metric, variant, url }) => [iter, metric, variant, url]));
    if (version === seen) return;
    seen = version;
    const iterations = [...new Set(images.map(({ iter }) => iter))];
    more.hidden = iterations.length < wanted;
    replace(
      list,
      images.length
        ? iterations.map((iter) =>
            iteration(
              iter,
              images.filter((image) => image.iter === iter),
            ),
          )
        : nothing(),
    );
  }

  let update = null;
  return {
    element,
    async refresh(task) {
      if (task.last_update !== update) await load();
      update = task.last_update;
    },
  };
}

const nothing = () => empty("No images have been reported.", 'report.image("validation", "sample 0", picture, step)');

function iteration(iter, images) {
  const ordered = images.toSorted((a, b) => compareText(nameOf(a), nameOf(b)));
  return h(
    "section",
    { class: "iteration" },
    h("h2", {}, `Iteration ${iter}`),
    h(
      "div",
      { class: "thumbs" },
      ordered.map((image) => picture(image, ordered, nameOf(image))),
    ),
  );
}

const nameOf = ({ metric, variant }) => seriesKey(metric, variant);

const KINDS = [
  [/\.(png|jpe?g|gif|webp|bmp|avif)$/i, "image"],
  [/\.(mp4|webm|mov|m4v)$/i, "video"],
  [/\.(wav|mp3|ogg|flac|m4a)$/i, "audio"],
];
const kindOf = (address) => KINDS.find(([ending]) => ending.test(new URL(address).pathname))?.[1] ?? "other";

/** A sample with its caption. A picture opens in large among `others`; samples on other servers, and pages, are linked and not loaded. */
function picture(image, others, caption) {
  const address = fileAddress(image.url);
  const name = `${nameOf(image)}, iteration ${image.iter}`;
  return h(
    "figure",
    {},
    sample(address, name, () => enlarge(image, others)),
    h("figcaption", { title: caption }, caption),
  );
}

function sample(address, name, open) {
  if (!address) return h("span", { class: "muted" }, "No web address");
  if (!isLocal(address)) return h("a", { href: address, rel: "noreferrer" }, "Stored elsewhere");
  const kind = kindOf(address);
  if (kind === "image")
    return h(
      "button",
      { type: "button", class: "thumb", "aria-label": `Enlarge ${name}`, on: { click: open } },
      h("img", { src: address, alt: name, loading: "lazy" }),
    );
  if (kind === "other") return h("a", { href: address, download: "" }, "Download");
  return h(kind, { src: address, controls: true, preload: "metadata", class: "media", "aria-label": name });
}

function enlarge(image, others) {
  const shown = others.filter(({ url }) => isLocal(fileAddress(url)) && kindOf(fileAddress(url)) === "image");
  let index = shown.indexOf(image);
  const img = h("img", {});
  const caption = h("p", {});
  const dialog = h("dialog", { class: "lightbox", "aria-label": "Picture", on: { close: () => dialog.remove(), keydown: onKey } });
  const turn = (step) => {
    index = (index + step + shown.length) % shown.length;
    img.src = fileAddress(shown[index].url);
    img.alt = nameOf(shown[index]);
    caption.textContent = `${shown[index].run ? `${shown[index].run} · ` : ""}${nameOf(shown[index])} · iteration ${shown[index].iter}`;
  };
  function onKey(event) {
    if (event.key === "ArrowRight") turn(1);
    if (event.key === "ArrowLeft") turn(-1);
  }
  const button = (label, act) => h("button", { type: "button", on: { click: act } }, label);
  dialog.append(
    img,
    caption,
    h(
      "div",
      { class: "actions" },
      button("Previous", () => turn(-1)),
      button("Next", () => turn(1)),
      button("Close", () => dialog.close()),
    ),
  );
  turn(0);
  document.body.append(dialog);
  dialog.showModal();
}

/** Images of several runs: a row per series, a column per run, at the chosen iteration or the last one before it. */
export function createImageComparison(state) {
  const element = h("div", { class: "images" });
  const shownAt = h("output", { for: "iteration" });
  const slider = h("input", {
    type: "range",
    id: "iteration",
    "aria-label": "Up to iteration",
    min: "0",
    step: "1",
    on: { input: () => state.set({ at: iterations[Number(slider.value)] ?? -1 }, { push: false }) },
  });
  const tools = h("div", { class: "tools" }, h("label", { class: "field" }, "Up to iteration ", slider, shownAt));
  const place = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Images side by side" });
  element.append(tools, place);
  let images = [];
  let iterations = [];
  let runs = [];

  function draw() {
    const { at } = state.get();
    const limit = at < 0 ? Infinity : at;
    tools.hidden = iterations.length < 2;
    slider.max = String(Math.max(0, iterations.length - 1));
    const index = iterations.findLastIndex((iter) => iter <= limit);
    slider.value = String(index);
    shownAt.textContent = String(iterations[index] ?? "");
    const shown = runs.filter((run) => !run.hidden);
    const names = [...new Set(images.map(nameOf))].sort(compareText);
    const cell = (name, run) => {
      const image = images.find((one) => one.task === run.id && one.iter <= limit && nameOf(one) === name);
      return h(
        "td",
        {},
        image &&
          picture(
            image,
            images.filter((one) => nameOf(one) === name && one.iter === image.iter),
            `iteration ${image.iter}`,
          ),
      );
    };
    const head = h(
      "tr",
      {},
      h("td", {}),
      shown.map((run) => h("th", { scope: "col" }, swatch(run.style), run.name)),
    );
    const rows = names.map((name) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, name),
        shown.map((run) => cell(name, run)),
      ),
    );
    replace(
      place,
      names.length
        ? h(
            "table",
            { class: "side-by-side" },
            h("caption", { class: "unseen" }, "Images side by side"),
            h("thead", {}, head),
            h("tbody", {}, rows),
          )
        : nothing(),
    );
  }

  return {
    element,
    async refresh(wanted) {
      runs = wanted;
      const names = new Map(runs.map(({ id, name }) => [id, name]));
      images = (
        await debugImages(
          runs.map(({ id }) => id),
          100,
        )
      ).map((image) => ({ ...image, run: names.get(image.task) }));
      iterations = [...new Set(images.map(({ iter }) => iter))].sort((a, b) => a - b);
      draw();
    },
    show(wanted) {
      runs = wanted;
      draw();
    },
  };
}
