// A button that opens a list of check boxes.

import { h, redraw } from "./dom.js";

/** `choose(names)` is called with those ticked, in the order in which they were. */
export function createMenu(label, legend, choose) {
  const list = h("fieldset");
  const element = h("details", { class: "menu" }, h("summary", {}, label), list);

  return {
    element,
    update(names, chosen) {
      element.hidden = !names.length;
      const box = (name) => {
        const toggle = ({ target }) => choose(target.checked ? [...chosen, name] : chosen.filter((other) => other !== name));
        const input = h("input", {
          type: "checkbox",
          checked: chosen.includes(name),
          "data-focus": `${label}:${name}`,
          on: { change: toggle },
        });
        return h("label", {}, input, name);
      };
      redraw(list, [names, chosen], () => [h("legend", {}, legend), names.map(box)]);
    },
  };
}
