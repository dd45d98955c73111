// What a view shows is in the address: it can be shared, reloaded and stepped back through.

/**
 * State with the given defaults, read from the address' query. The type of a default says how its value is written:
 * text as it is, a number, true as "1", a list as texts joined by commas. Only what differs from the default is written.
 */
export function createState(defaults) {
  const listeners = new Set();
  let current = read(defaults);

  window.addEventListener("popstate", () => {
    current = read(defaults);
    listeners.forEach((listener) => listener(current));
  });

  return {
    get: () => current,
    /** Takes over what changed. `push` makes it a step that the back button undoes; typing and dragging do not. */
    set(changes, { push = true } = {}) {
      const next = { ...current, ...changes };
      const address = location.pathname + write(next, defaults);
      current = next;
      if (address !== location.pathname + location.search) history[push ? "pushState" : "replaceState"](null, "", address);
      listeners.forEach((listener) => listener(current));
    },
    subscribe: (listener) => listeners.add(listener),
  };
}

function read(defaults) {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(
    Object.entries(defaults).map(([name, fallback]) => [name, query.has(name) ? parse(query.get(name), fallback) : fallback]),
  );
}

function parse(text, fallback) {
  if (Array.isArray(fallback)) return text ? text.split(",").map(unescapeItem) : [];
  if (typeof fallback === "number") return Number.isFinite(Number(text)) && text.trim() ? Number(text) : fallback;
  if (typeof fallback === "boolean") return text === "1";
  return text;
}

/** The query that stands for a state, "" for the default one. */
function write(state, defaults) {
  const parts = [];
  for (const [name, fallback] of Object.entries(defaults)) {
    const text = print(state[name]);
    if (text !== print(fallback)) parts.push(`${name}=${text}`);
  }
  return parts.length ? `?${parts.join("&")}` : "";
}

function print(value) {
  if (Array.isArray(value)) return value.map((item) => encodeURIComponent(escapeItem(String(item)))).join(",");
  if (typeof value === "boolean") return value ? "1" : "0";
  return encodeURIComponent(String(value));
}

// A comma inside an item would split it.
const escapeItem = (item) => item.replaceAll("%", "%25").replaceAll(",", "%2C");
const unescapeItem = (item) => item.replaceAll("%2C", ",").replaceAll("%25", "%");
