// The keyboard. Single letters can be switched off, for those who speak to their computer or hit keys by accident.
import { stored } from "./key.js";
import { sourceIsOpen } from "./source.js";

const NAME = "citewell.single-keys";
const $ = (id) => document.getElementById(id);

/** does: {stop() -> whether something ran, close(), step(by), copy(), fresh()} */
export function listen(does) {
  const help = $("help"), single = $("single-keys");
  single.checked = stored.get(NAME) !== "off";
  single.addEventListener("change", () => stored.set(NAME, single.checked ? "on" : "off", { onDevice: true }));
  $("help-open").addEventListener("click", () => help.showModal());

  document.addEventListener("keydown", (event) => {
    if (help.open || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape") return escape(does);
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") return arrow(event, does);
    if (!single.checked) return;
    const act = { "/": () => $("question").focus(), n: does.fresh, c: does.copy, "?": () => help.showModal() }[event.key];
    if (!act || (sourceIsOpen() && $("question").closest("[inert]") && event.key === "/")) return;
    event.preventDefault();
    act();
  });
}

function escape(does) {
  if (does.stop()) return;
  if (sourceIsOpen()) does.close();
  else if (document.activeElement === $("question")) $("question").blur();
}

/** On a citation: the one before or after. With a source open: the same, and the pane follows. */
function arrow(event, does) {
  const by = event.key === "ArrowRight" ? 1 : -1;
  const box = event.target.closest("pre, .scroll");
  if (box && box.scrollWidth > box.clientWidth) return; // the arrows scroll it
  if (sourceIsOpen()) {
    event.preventDefault();
    does.step(by);
  } else if (event.target.closest(".cite")) {
    event.preventDefault();
    const chips = [...event.target.closest(".prose, .checks").querySelectorAll(".cite")];
    chips[chips.indexOf(event.target) + by]?.focus();
  }
}
