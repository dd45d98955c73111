// The button that ends a run. It asks first.

import { stopTask } from "./api.js";
import { h } from "./dom.js";
import { notice } from "./poll.js";

const WORDS = {
  queued: { button: "Remove from queue", question: "Remove this run from its queue?", act: "Remove it" },
  in_progress: { button: "Stop", question: "Stop this run? Its last checkpoint is kept.", act: "Stop the run" },
};

/** The button and its dialog; `done` is called when the server has answered. */
export function createStop(task, done) {
  const words = WORDS[task.status];
  const question = h("p", { id: "stop-question" }, words.question);
  const act = h("button", { type: "button", class: "danger", on: { click: stop } }, words.act);
  const form = h("form", { method: "dialog", class: "actions" }, h("button", {}, "Cancel"), act);
  const dialog = h("dialog", { "aria-labelledby": "stop-question" }, question, form);
  const props = { type: "button", class: "stop danger", "data-focus": "stop", on: { click: () => dialog.showModal() } };
  const button = h("button", props, words.button);

  async function stop() {
    dialog.close();
    button.disabled = true;
    try {
      await stopTask(task);
    } catch (error) {
      notice(error);
    }
    button.disabled = false;
    done();
  }

  return [button, dialog];
}
