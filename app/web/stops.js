// What is shown when an answer does not come to its end: refused, failed, cut off, stopped. Each says the next step.
import { copyButton } from "./foot.js";
import { keyForm } from "./key.js";
import { el, dollars, plural, withCode } from "./text.js";

/** A problem document, whether it came instead of a stream or at its end. */
export function showFailure(view, problem) {
  if (problem.code === "unauthenticated") return showKeyForm(view);
  view.setState("failed");
  const box = note(view,
    el("p", {}, el("strong", {}, `${TITLES[problem.code] ?? problem.title}. `), standing(view), commandIn(problem) ? "Put documents in, then ask again:" : withCode(problem.detail ?? "")),
    more(view, problem),
    el("p.row", {}, steps(view, problem), requestLine(problem)));
  view.hooks.say(`${problem.title}.`);
  return box;
}

const TITLES = { index_missing: "Nothing is indexed yet", budget_exhausted: "The budget is used up", rate_limited: "Too many questions", forbidden: "This key may not do that" };

function more(view, problem) {
  const command = commandIn(problem);
  if (command) return el("pre", { tabindex: "0", role: "group", "aria-label": "Command" }, el("code", {}, command));
  if (problem.code === "budget_exhausted") return budget(problem);
  if (problem.errors?.length) return el("ul.errors", {}, problem.errors.map((one) => el("li", {}, el("code", {}, one.field), " ", one.message)));
  return null;
}

const commandIn = (problem) => (problem.code === "index_missing" ? /`(citewell [^`]+)`/.exec(problem.detail)?.[1] : null);

function budget({ limit, resets_at: resets }) {
  const spent = limit?.amount_usd !== undefined ? `${limit.name ?? "Budget"}: ${dollars(limit.spent_usd)} of ${dollars(limit.amount_usd)} is spent. ` : "";
  if (!resets) return spent ? el("p", {}, spent) : null;
  const day = new Date(resets).toLocaleDateString("en-GB", { day: "numeric", month: "long", timeZone: "UTC" });
  return el("p", {}, spent, "It opens again on ", el("time", { datetime: resets }, day), " (UTC). Nothing was spent on this question.");
}

function steps(view, problem) {
  if (problem.retry_after_s) return countdown(view, problem.retry_after_s);
  const again = problem.retryable || problem.code === "index_missing";
  const other = problem.code === "forbidden" ? el("button", { type: "button", onclick: () => showKeyForm(view, "Another key is needed.") }, "Use another key") : null;
  return [again ? againButton(view) : null, other, view.text ? copyButton(view) : null];
}

const requestLine = (problem) => (problem.request_id ? el("span.small", {}, "Request ", el("code", {}, problem.request_id)) : null);

export function showKeyForm(view, reason) {
  view.setState("key-needed");
  view.foot.replaceChildren(keyForm(() => view.hooks.again(view), reason));
  view.foot.querySelector("input").focus();
  view.hooks.say("A key is needed.");
}

/** Counts by the clock, not by ticks: timers sleep in tabs behind. Only the end is announced. */
function countdown(view, seconds) {
  const text = el("span.num", {}, `You can ask again in ${seconds} s.`);
  const again = againButton(view);
  again.disabled = true;
  const until = performance.now() + seconds * 1000;
  const timer = setInterval(() => {
    const left = Math.max(0, Math.ceil((until - performance.now()) / 1000));
    text.textContent = left ? `You can ask again in ${left} s.` : "You can ask again now.";
    if (left && again.isConnected) return;
    clearInterval(timer);
    again.disabled = false;
    if (again.isConnected) view.hooks.say("You can ask again now.");
  }, 250);
  return [again, view.text ? copyButton(view) : null, text];
}

const LOSSES = {
  asking: ["The connection was lost.", "Looking whether the answer was finished…"],
  running: ["The connection was lost.", "The answer is still being written. Look again in a moment; it costs nothing."],
  unreachable: ["The connection was lost.", "The service can't be reached now. Once it can, look again: the answer may be finished."],
};

/** After a lost connection the stored answer is looked at before anyone is offered to pay for another. */
export function showLoss(view, which) {
  view.setState("disconnected");
  const [title, detail] = LOSSES[which];
  const look = which === "asking" || !view.id ? null : el("button", { type: "button", onclick: () => view.hooks.look(view) }, "Look again");
  note(view,
    el("p", {}, el("strong", {}, `${title} `), standing(view), view.id ? detail : view.text ? null : "Nothing had been written yet."),
    which === "asking" && view.id ? null : el("p.row", {}, look, which === "running" ? null : againButton(view), view.text ? copyButton(view) : null));
  if (which !== "asking") view.hooks.say(`${title} ${view.id ? detail : ""}`);
}

/** The service stopped writing when the line broke: there is nothing to wait for. */
export function showCut(view) {
  view.setState("disconnected");
  note(view,
    el("p", {}, el("strong", {}, "Not finished. "), standing(view), "The service stopped writing when the connection ended. What had been used by then is booked."),
    el("p.row", {}, againButton(view), view.text ? copyButton(view) : null));
  view.hooks.say("The answer is not finished.");
}

export function showStop(view) {
  view.setState("stopped");
  note(view,
    el("p", {}, el("strong", {}, "Stopped. "), view.text ? "What stands above was checked. " : null, "What had been used by then is booked."),
    el("p.row", {}, againButton(view), view.text ? copyButton(view) : null));
  view.hooks.say("Stopped.");
}

function standing(view) {
  if (!view.text) return null;
  return view.claims.length
    ? `The ${plural(view.claims.length, "sentence")} above ${view.claims.length === 1 ? "was" : "were"} checked, but the answer is not complete. `
    : "The answer above is not complete. ";
}

function againButton(view) {
  return el("button", { type: "button", onclick: () => view.hooks.again(view) }, "Ask again");
}

function note(view, ...parts) {
  const box = el("div.stop-note", {}, parts);
  view.foot.replaceChildren(box);
  return box;
}
