// The key: pasted once, kept in this window, or on this device when its owner ticks it. It goes to this service only.
import { el } from "./text.js";

const NAME = "citewell.key";
let key = null;

/** The browser's storage may be closed (private windows, policies): the page works without it. */
export const stored = {
  get(name) {
    try { return sessionStorage.getItem(name) ?? localStorage.getItem(name); } catch { return null; }
  },
  set(name, value, { onDevice = false } = {}) {
    try { (onDevice ? localStorage : sessionStorage).setItem(name, value); } catch { /* it lives as long as the page */ }
  },
  drop(name) {
    for (const place of ["sessionStorage", "localStorage"]) {
      try { window[place].removeItem(name); } catch { /* nothing is kept there */ }
    }
  },
};

key = stored.get(NAME);

export const currentKey = () => key;

export function useKey(value, onDevice) {
  stored.drop(NAME); // or one that was kept before would come back with the next window
  key = value;
  stored.set(NAME, value, { onDevice });
  document.dispatchEvent(new Event("citewell:key"));
}

export function forgetKey() {
  key = null;
  stored.drop(NAME);
  document.dispatchEvent(new Event("citewell:key"));
}

/** A form for the key; `used` runs once it is there. */
export function keyForm(used, reason = "A key is needed.") {
  const submit = (event) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    useKey(String(data.get("key")).trim(), data.get("keep") === "on");
    used();
  };
  return el("form.key-form", { onsubmit: submit },
    el("p", {}, el("strong", {}, reason), " Paste it once. It stays in this window and goes to this service only."),
    el("label.block", {}, "Key",
      el("input", { type: "password", name: "key", required: true, autocomplete: "off", spellcheck: "false", placeholder: "cw_…",
        pattern: "\\s*cw_\\S+\\s*", title: "A key begins with cw_" })),
    el("label", {}, el("input", { type: "checkbox", name: "keep" }), " Keep it on this device when the window is closed"),
    el("p.row", {}, el("button.primary", { type: "submit" }, "Use this key"),
      el("span.small", {}, el("code", {}, "citewell keys create"), " makes one")));
}
