// Thumbs. A vote up is sent at once, a vote down with its reason; a key that may not rate gets that said, once.
import { currentKey } from "./key.js";
import { postJson } from "./api.js";
import { el, svg } from "./text.js";

const REASONS = [["wrong", "Wrong"], ["not_supported", "The source says otherwise"], ["incomplete", "Something is missing"],
  ["outdated", "Out of date"], ["should_abstain", "Should not have answered"], ["other", "Something else"]];
const silent = new Set(); // keys without the scope `feedback`, as the service said

export function votes(view, ...before) {
  if (silent.has(currentKey())) return el("div.actions", {}, before);
  const thanks = el("span.small", { role: "status" });
  const send = (vote) => postJson(`/v1/answers/${encodeURIComponent(view.id)}/feedback`, vote);
  const refused = (error) => {
    if (error.problem?.code !== "forbidden") { thanks.textContent = "That could not be sent. Try again."; return; }
    silent.add(currentKey());
    for (const button of [up, down]) button.remove();
    form.remove();
    thanks.textContent = "This key may not rate answers.";
  };
  const press = (pressed) => {
    for (const button of [up, down]) button.setAttribute("aria-pressed", String(button === pressed));
    thanks.textContent = "";
  };
  const up = thumb("Good answer", () => {
    press(up);
    form.hidden = true;
    send({ rating: "up" }).then(() => { thanks.textContent = "Thank you."; }, (error) => { press(null); refused(error); });
  });
  const down = thumb("Bad answer", () => {
    press(down);
    form.hidden = false;
    form.querySelector("input").focus();
  });
  down.querySelector("svg").classList.add("down");
  const form = reasonForm((vote) => send(vote).then(() => {
    form.hidden = true;
    thanks.textContent = "Thank you. It is stored with the answer.";
  }, refused), () => {
    form.hidden = true;
    press(null);
    down.focus();
  });
  form.hidden = true;
  return [el("div.actions", {}, before, up, down, thanks), form];
}

function thumb(label, onclick) {
  return el("button.icon", { type: "button", "aria-pressed": "false", "aria-label": label, title: label, onclick },
    svg("svg", { viewBox: "0 0 20 20", "aria-hidden": "true", class: "thumb" },
      svg("path", { d: "M7 9v8H3.5V9zM7 9l3-6.5c1.4 0 2.3 1 2.1 2.4L11.6 8h4.1c1.1 0 1.9 1 1.6 2.1l-1.3 5.3c-.2.9-1 1.6-2 1.6H7" })));
}

function reasonForm(send, cancel) {
  const submit = (event) => {
    event.preventDefault();
    const given = Object.fromEntries([...new FormData(event.currentTarget)].filter(([, value]) => value.trim()));
    send({ rating: "down", ...given });
  };
  return el("form.reasons", { onsubmit: submit },
    el("fieldset", {}, el("legend", {}, "What was wrong?"), REASONS.map(([value, label]) =>
      el("label", {}, el("input", { type: "radio", name: "reason", value, required: true }), " ", label))),
    el("label.block", {}, "The right answer, if you know it", el("textarea", { name: "correct_answer", rows: 2, maxlength: 2000 })),
    el("p.row", {}, el("button.primary", { type: "submit" }, "Send"), el("button.quiet", { type: "button", onclick: cancel }, "Cancel")));
}
