// Building elements. What comes from the server is untrusted text: it reaches the document through text nodes and checked addresses only.

const PROPERTIES = new Set(["checked", "value", "disabled", "hidden", "indeterminate", "open", "selected"]);
const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with attributes, listeners (`on: {click: f}`) and children (nodes, strings, nested lists; null and false are left out).
 * An href that is neither http(s) nor an address on this server is dropped.
 */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || (value === false && !PROPERTIES.has(name))) continue;
    if (name === "on") for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else if (name.startsWith("on")) throw new TypeError(`${name}: listeners go through on: {}`);
    else if (name === "href") setHref(element, value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function setHref(element, address) {
  const safe = webAddress(address);
  if (safe) element.setAttribute("href", safe);
}

/** The address when it is http(s), made absolute against this page; null for javascript:, data:, file: and what is no address. */
function webAddress(address) {
  let url;
  try {
    url = new URL(String(address), location.href);
  } catch {
    return null;
  }
  return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
}

const LOOPBACK = new Set(["127.0.0.1", "localhost", "[::1]"]);

/**
 * Where this page gets a stored file. The server keeps full addresses, while the page may have been opened by another of its names
 * (localhost): its own files are asked for under the page's origin, so that the cookie goes along. Null for what is not http(s).
 */
export function fileAddress(stored) {
  const safe = webAddress(stored);
  if (!safe) return null;
  const url = new URL(safe);
  const own = LOOPBACK.has(url.hostname) && LOOPBACK.has(location.hostname) && url.port === location.port;
  return own ? `${location.origin}${url.pathname}${url.search}` : safe;
}

/** Whether the address is on this server: others' pictures are linked, not loaded. */
export function isLocal(address) {
  return Boolean(address) && new URL(address, location.href).origin === location.origin;
}

/** Replaces what an element holds, unless that is what it already shows. */
export function replace(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  return element;
}

const drawn = new WeakMap(); // element -> what it shows, as JSON

/** Draws what an element holds anew when the facts it shows have changed, and keeps the keyboard where it was. */
export function redraw(element, facts, draw) {
  const version = JSON.stringify(facts);
  if (drawn.get(element) === version) return false;
  drawn.set(element, version);
  keepingFocus(() => replace(element, draw()));
  return true;
}

/** A short element that says nothing is here yet and what to type. */
export function empty(message, command = null) {
  return h("div", { class: "empty" }, h("p", {}, message), command && h("pre", { class: "command" }, h("code", {}, command)));
}

/** A text that can be copied with one click. */
export function copyable(text, label) {
  const button = h("button", { type: "button", class: "copy", "aria-label": `Copy ${label}`, title: `Copy ${label}` }, text);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.classList.add("done");
      setTimeout(() => button.classList.remove("done"), 1200);
    } catch {
      getSelection().selectAllChildren(button); // no clipboard without a secure context: at least it is selected
    }
  });
  return button;
}

/** Keeps the keyboard where it is while `change` moves or rebuilds elements. */
export function keepingFocus(change) {
  const focused = document.activeElement;
  const key = focused?.dataset?.focus;
  change();
  if (!focused || focused === document.activeElement) return;
  if (document.contains(focused)) focused.focus({ preventScroll: true });
  else if (key) document.querySelector(`[data-focus="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}
