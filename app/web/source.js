// The source pane: one document beside the answer. On a phone it covers the page.
import { getJson } from "./api.js";
import { drawDocument, forgetDrawing } from "./document.js";
import { place } from "./foot.js";
import { el } from "./text.js";

const $ = (id) => document.getElementById(id);
const narrow = matchMedia("(max-width: 60rem)");
const kept = new Map(); // `${document_id}@${revision}` -> promise of the document
const MOST_KEPT = 8;
let opener = null;
let turn = 0;

export const sourceIsOpen = () => !$("source").hidden;
export const forgetDocuments = () => kept.clear();

/** What lies behind the pane on a phone takes no focus and is not read. */
function cover(yes) {
  for (const node of document.querySelectorAll(".skip, .top, .history, main")) node.inert = yes;
}
narrow.addEventListener("change", () => { if (sourceIsOpen()) cover(narrow.matches); });

function load({ document_id: id, revision }) {
  const name = `${id}@${revision}`;
  if (!kept.has(name)) {
    const promise = getJson(`/v1/documents/${encodeURIComponent(id)}?revision=${encodeURIComponent(revision)}`);
    promise.catch(() => kept.delete(name));
    kept.set(name, promise);
    if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
  }
  return kept.get(name);
}

export async function openSource(citation, all, button) {
  const mine = ++turn;
  opener = button;
  $("source").hidden = false;
  $("desk").dataset.source = "open";
  cover(narrow.matches);
  const at = all.findIndex(({ n }) => n === citation.n);
  $("source-count").textContent = `Source ${citation.n} of ${all.length}`;
  $("source-title").textContent = citation.title;
  $("source-path").textContent = [citation.uri, place(citation)].filter(Boolean).join(" · ");
  $("source-prev").disabled = at <= 0;
  $("source-next").disabled = at === all.length - 1;
  if (narrow.matches) $("source-title").focus();
  let page;
  try {
    const waiting = load(citation);
    if (!(await within(waiting, 150))) $("source-text").replaceChildren(el("p.small", {}, "Opening the document…"));
    page = await waiting;
  } catch (error) {
    if (mine === turn) showQuoteAlone(citation, error);
    return;
  }
  if (mine !== turn) return; // another one was opened meanwhile
  const updated = page.metadata?.updated ?? page.metadata?.date;
  if (typeof updated === "string") $("source-path").textContent += ` · ${updated}`;
  const others = all.filter((c) => c.n !== citation.n && c.document_id === citation.document_id && c.revision === citation.revision);
  drawDocument($("source-body"), $("source-text"), page, citation, others);
}

const within = (promise, ms) => Promise.race([promise.then(() => true), new Promise((resolve) => { setTimeout(resolve, ms, false); })]);

/** The quote was checked when the answer was written, so it is shown even where its document is not. */
function showQuoteAlone(citation, { problem }) {
  const why = { not_found: "This document is gone, or it is not open to you.", forbidden: "This key may not open documents; the quote is shown alone." };
  forgetDrawing();
  $("source-text").replaceChildren(
    el("p.note", {}, why[problem?.code] ?? "The document could not be opened. Choose the citation again to retry."),
    el("blockquote", {}, el("mark", {}, citation.quote)));
}

export function closeSource({ focus = true } = {}) {
  if (!sourceIsOpen()) return;
  turn++;
  $("source").hidden = true;
  delete $("desk").dataset.source;
  cover(false);
  forgetDrawing();
  $("source-text").replaceChildren();
  for (const button of document.querySelectorAll(".cite[aria-expanded=true]")) button.setAttribute("aria-expanded", "false");
  if (focus && opener?.isConnected) opener.focus();
}
