// Tabs whose choice is in the address. Left and right arrows move between them, as in the ARIA practices.

import { h, replace } from "./dom.js";

/** `labels`: name -> text; `panels`: name -> {element, refresh(...args)}; only the shown panel is refreshed. */
export function createTabs(labels, panels, state) {
  const names = Object.keys(labels);
  const tabs = new Map(
    names.map((name) => [
      name,
      h(
        "button",
        {
          type: "button",
          role: "tab",
          id: `tab-${name}`,
          "aria-controls": "panel",
          on: { click: () => state.set({ tab: name }), keydown: (event) => arrow(event, name) },
        },
        labels[name],
      ),
    ]),
  );
  const panel = h("div", { role: "tabpanel", id: "panel", class: "panel" });
  const current = () => (names.includes(state.get().tab) ? state.get().tab : names[0]);

  function arrow(event, name) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const next = step ? names.at((names.indexOf(name) + step) % names.length) : { Home: names[0], End: names.at(-1) }[event.key];
    if (!next) return;
    event.preventDefault();
    state.set({ tab: next }, { push: false });
    tabs.get(next).focus();
  }

  function draw() {
    const chosen = current();
    for (const [name, tab] of tabs) {
      tab.setAttribute("aria-selected", String(name === chosen));
      tab.tabIndex = name === chosen ? 0 : -1;
    }
    panel.setAttribute("aria-labelledby", `tab-${chosen}`);
    if (panel.firstChild !== panels[chosen].element) replace(panel, panels[chosen].element);
  }

  state.subscribe(draw);
  draw();
  return {
    element: h("div", { class: "tabbed" }, h("div", { role: "tablist", class: "tabs", "aria-label": "Views" }, [...tabs.values()]), panel),
    refresh: async (...args) => panels[current()].refresh(...args),
  };
}
