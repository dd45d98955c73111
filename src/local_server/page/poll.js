// Asking the server again and again, and saying in one line when it does not answer.

import { h, replace } from "./dom.js";

let heard = false; // whether the server has ever answered this page

/**
 * Shows an error above the page: one line, with the way out where there is one. Null takes it away. Somebody who was never signed in goes
 * there at once.
 */
export function notice(error) {
  const line = document.getElementById("notice");
  line.hidden = !error;
  if (!error) return;
  if (error.status === 401) {
    const back = encodeURIComponent(location.pathname + location.search);
    const signIn = `/login?next=${back}`;
    if (!heard) location.replace(signIn);
    replace(line, "You are signed out. ", h("a", { href: signIn }, "Sign in"));
  } else replace(line, error.message);
}

/** Says when the page last heard from the server. */
function fresh(live) {
  heard = true;
  const line = document.getElementById("freshness");
  line.classList.toggle("live", live);
  line.textContent = live ? "Live" : "Up to date";
  line.title = `Updated at ${new Date().toLocaleTimeString([], { hour12: false })}`;
}

/**
 * Runs `work` now and then every `pause()` milliseconds, never twice at once and not while the tab is hidden.
 * Returns a function that runs it right away, or once more when it is running already: what it has asked may be out of date.
 */
export function poll(work, pause) {
  let timer;
  let running = false;
  let again = false;

  async function turn() {
    clearTimeout(timer);
    if (document.hidden) return; // becoming visible asks again
    try {
      await work();
      notice(null);
      fresh(pause() < 5000);
    } catch (error) {
      notice(error);
      document.getElementById("freshness").textContent = "";
      if (error.status === undefined) console.error(error);
    }
    clearTimeout(timer);
    timer = setTimeout(once, pause());
  }

  async function once() {
    again = running;
    if (running) return;
    running = true;
    await turn();
    running = false;
    if (again) once();
  }
  document.addEventListener("visibilitychange", () => !document.hidden && once());
  once();
  return once;
}
