// The page: asks, reads the stream, keeps the session, opens sources. Each part has a module; this one joins them.
import { AnswerView } from "./answer.js";
import { getJson, Refused, request } from "./api.js";
import { chooseCollection, collection, loadCollections } from "./collection.js";
import { currentKey, forgetKey } from "./key.js";
import { dropEntry, entries, findById, findByView, readAddress, restoreSession, saveSession, threads, writeAddress } from "./session.js";
import { listen } from "./shortcuts.js";
import { closeSource, forgetDocuments, openSource, sourceIsOpen } from "./source.js";
import { answerEvents, StreamError } from "./sse.js";
import { el } from "./text.js";

const $ = (id) => document.getElementById(id);
const narrow = matchMedia("(max-width: 40rem)");
const TURNS = 8; // earlier answers that go along with a follow-up
const WORDS = { abstained: "no answer", blocked: "blocked", failed: "failed", disconnected: "cut off", stopped: "stopped", degraded: "fallback", "key-needed": "key needed" };

let thread = []; // entries on the page, oldest first
let running = null; // {controller, view}
let current = null; // {citation, view}: what the source pane shows

function say(text) {
  $("say").textContent = "";
  setTimeout(() => { $("say").textContent = text; }, 60); // the same words twice are spoken twice
}

const hooks = { say, open, again: askAgain, look: lookAgain, changed: remember };

// ---- ask -----------------------------------------------------------------------------------------------------

async function ask(question) {
  question = question.trim();
  if (!question || running) return;
  const view = new AnswerView(question, hooks);
  const controller = new AbortController();
  const messages = earlierTurns();
  running = { controller, view };
  closeSource({ focus: false });
  if (!threads.includes(thread)) threads.push(thread);
  thread.push({ id: null, question, state: "loading", collection: collection(), view });
  $("thread").append(view.root);
  $("question").value = "";
  fit();
  setDesk("busy");
  drawHistory(view);
  view.heading.scrollIntoView({ block: "start" });
  if (narrow.matches) $("question").blur(); // or its keyboard would cover the answer
  say("Searching.");
  try {
    const body = { question, collection: collection(), messages, stream: true };
    const response = await request("/v1/answers", { method: "POST", signal: controller.signal, body });
    for await (const event of answerEvents(response.body)) view.handle(event);
  } catch (error) {
    await ended(view, controller, error);
  } finally {
    running = null;
    setDesk("ready");
  }
}

async function ended(view, controller, error) {
  if (controller.signal.aborted) view.stopped();
  else if (error instanceof Refused) view.fail(error.problem);
  else if (error instanceof StreamError || error instanceof TypeError || error instanceof DOMException) await afterLoss(view);
  else { // a fault of this page: say so, as for any other, and leave it to be found
    view.unreachable();
    throw error;
  }
}

/** What was said before: the questions that were answered, and the answers. */
function earlierTurns() {
  const said = thread.filter(({ view }) => view?.body && view.state !== "blocked").slice(-TURNS);
  return said.flatMap(({ question, view }) => (question ? [{ role: "user", content: question }, { role: "assistant", content: view.text }] : []));
}

/** Nothing is paid for twice: the stored answer is looked at first, a few times while it may still be on its way. */
async function afterLoss(view) {
  if (!view.id) return view.unreachable();
  view.disconnected();
  for (const wait of [300, 1200, 2500]) {
    await new Promise((resolve) => { setTimeout(resolve, wait); });
    try {
      const shown = await getJson(`/v1/answers/${encodeURIComponent(view.id)}`);
      if (shown.status === "running") continue;
      return show(view, shown);
    } catch (error) {
      if (error instanceof Refused) return view.fail(error.problem);
      return view.unreachable();
    }
  }
  return view.running();
}

async function lookAgain(view) {
  view.disconnected();
  try { show(view, await getJson(`/v1/answers/${encodeURIComponent(view.id)}`)); } catch (error) {
    if (error instanceof Refused) view.fail(error.problem); else view.unreachable();
  }
}

function show(view, shown, options) {
  if (["answered", "abstained", "blocked", "degraded"].includes(shown.status)) view.complete(shown, options);
  else view.unfinished(shown);
}

function askAgain(view) {
  const found = findByView(view);
  if (view.stored) return void load(found.entry); // it is there already: only the key was missing, or the line
  if (!view.text && found) { // nothing was written: the new one takes its place
    dropEntry(found.entry);
    view.root.remove();
    thread = threads.includes(found.thread) ? found.thread : [];
  }
  if (found?.entry.collection) chooseCollection(found.entry.collection);
  ask(view.question);
}

// ---- citations and their sources -------------------------------------------------------------------------------

function open(citation, view, button) {
  if (sourceIsOpen() && current?.view === view && current.citation.n === citation.n) { $("source-title").focus(); return; }
  current = { citation, view };
  for (const chip of document.querySelectorAll(".cite")) chip.setAttribute("aria-expanded", String(view.root.contains(chip) && chip.dataset.n === String(citation.n)));
  openSource(citation, view.citations, button);
  if (view.body) writeAddress(view.id, citation.n);
  say(`Source ${citation.n}: ${citation.title}.`);
}

function step(by) {
  if (!current) return;
  const { citation, view } = current;
  const next = view.citations[view.citations.findIndex(({ n }) => n === citation.n) + by];
  if (!next) return;
  const button = buttonOf(view, next.n);
  const inPane = $("source").contains(document.activeElement);
  open(next, view, button);
  if (!inPane) button?.focus();
}

const buttonOf = (view, n) => view.root.querySelector(`.prose .cite[data-n="${n}"]`) ?? view.root.querySelector(`.sources [data-n="${n}"]`);

function shut(options) {
  closeSource(options);
  current = null;
  const shown = thread.at(-1)?.view;
  if (shown?.body) writeAddress(shown.id);
}

// ---- the session -----------------------------------------------------------------------------------------------

function remember(view) {
  const found = findByView(view);
  if (!found) return;
  Object.assign(found.entry, { id: view.id ?? null, state: view.state });
  saveSession();
  if (view.body && thread.at(-1)?.view === view && !sourceIsOpen()) writeAddress(view.id);
  drawHistory(view);
}

function drawHistory(shown) {
  const all = entries().filter(({ entry }) => entry.question);
  $("history-box").hidden = !all.length;
  $("history").replaceChildren(...all.map(({ thread: of, entry }) => el("li", {},
    el("button", { type: "button", "aria-current": entry.view && entry.view === shown ? "true" : null, onclick: () => turnTo(of, entry) },
      entry.question, el("span.state", {}, WORDS[entry.state] ?? "")))));
}

async function turnTo(chosen, entry, n) {
  if (running) return;
  closeSource({ focus: false });
  current = null;
  thread = chosen;
  const missing = thread.filter((one) => !one.view);
  for (const one of missing) one.view = new AnswerView(one.question, hooks);
  $("thread").replaceChildren(...thread.map(({ view }) => view.root));
  chooseCollection(entry.collection);
  setDesk("ready");
  drawHistory(entry.view);
  writeAddress(entry.id, n);
  entry.view.heading.focus({ preventScroll: true });
  await Promise.all(missing.map(load));
  entry.view.heading.scrollIntoView({ block: "start" });
  const citation = n && entry.view.citations.find((one) => one.n === n);
  if (citation) open(citation, entry.view, buttonOf(entry.view, n));
  setDesk("ready");
}

/** Draws an entry's answer from the service. Nothing is asked. */
async function load(entry) {
  const { view } = entry;
  view.id = entry.id;
  view.stored = true;
  view.progress.textContent = "Opening the stored answer";
  try {
    show(view, await getJson(`/v1/answers/${encodeURIComponent(entry.id)}`), { quietly: true });
    view.stored = !view.question;
  } catch (error) {
    if (error instanceof Refused) view.fail(error.problem); else view.unreachable();
  }
}

function followAddress() {
  const wanted = readAddress();
  if (!wanted || running) return;
  const found = findById(wanted.id) ?? adopt(wanted.id);
  turnTo(found.thread, found.entry, wanted.n);
}

function adopt(id) {
  const entry = { id, question: null, state: "loading", collection: null, view: null };
  const made = [entry];
  threads.push(made);
  return { thread: made, entry };
}

function startNew() {
  if (running) return;
  closeSource({ focus: false });
  thread = [];
  current = null;
  $("thread").replaceChildren();
  writeAddress(null);
  setDesk("empty");
  drawHistory(null);
  $("question").focus();
}

// ---- the form --------------------------------------------------------------------------------------------------

function setDesk(state) {
  $("desk").dataset.state = state;
  document.title = `${thread.at(-1)?.question ?? "Ask"} · Citewell`;
  $("send").hidden = state === "busy";
  $("stop").hidden = state !== "busy";
  $("question").placeholder = thread.some(({ view }) => view?.body && view.state !== "blocked") ? "Ask about this answer" : "Ask a question";
}

function fit() {
  const box = $("question");
  box.rows = Math.min(8, Math.max(1, box.value.split("\n").length, Math.ceil(box.value.length / 64)));
}

function stop() {
  if (!running) return false;
  running.controller.abort();
  $("question").focus({ preventScroll: true });
  return true;
}

$("ask").addEventListener("submit", (event) => { event.preventDefault(); ask($("question").value); });
$("stop").addEventListener("click", stop);
$("new").addEventListener("click", startNew);
$("question").addEventListener("input", fit);
$("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return; // an Enter that picks a word of an input method sends nothing
  event.preventDefault();
  $("ask").requestSubmit();
});
$("source-close").addEventListener("click", () => shut());
$("source-prev").addEventListener("click", () => step(-1));
$("source-next").addEventListener("click", () => step(1));
listen({ stop, step, close: () => shut(), fresh: startNew, copy: () => (current?.view ?? thread.at(-1)?.view)?.copy() });

const showForget = () => { $("forget").hidden = !currentKey(); };
$("forget").addEventListener("click", () => {
  forgetKey();
  say("The key is forgotten.");
  $("question").focus();
});
document.addEventListener("citewell:key", () => { forgetDocuments(); showForget(); loadCollections(ask); });

addEventListener("hashchange", followAddress);
addEventListener("pagehide", () => running?.controller.abort()); // so that the service cancels and books at once
addEventListener("pageshow", (event) => { if (event.persisted) forgetDocuments(); });

showForget();
restoreSession();
drawHistory(null);
loadCollections(ask);
if (readAddress()) followAddress(); else $("question").focus({ preventScroll: true });
