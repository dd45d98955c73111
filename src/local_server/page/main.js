// The one script of every page: marks where we are and hands over to the view of this address.

import { notice } from "./poll.js";

const VIEWS = [
  [/^\/$/, "experiments", "./experiments.js"],
  [/^\/task\/(?<id>[^/]+)$/, "experiments", "./task.js"],
  [/^\/compare$/, "experiments", "./compare.js"],
  [/^\/datasets$/, "datasets", "./datasets.js"],
  [/^\/queues$/, "queues", "./queues.js"],
];

async function start() {
  const path = location.pathname.replace(/(?<=.)\/$/, "");
  const main = document.getElementById("main");
  for (const [pattern, page, module] of VIEWS) {
    const match = pattern.exec(path);
    if (!match) continue;
    document.querySelector(`nav [data-page=${page}]`).setAttribute("aria-current", "page");
    const view = await import(module);
    try {
      await view.show(main, match.groups ?? {});
    } catch (error) {
      notice(error);
    }
    main.removeAttribute("aria-busy");
    return;
  }
}

start();
