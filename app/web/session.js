// The questions of this session. Only ids and questions are kept, in the window's own storage; answers come from the service.
import { stored } from "./key.js";

const NAME = "citewell.session";
const MOST = 60;

/** A thread is a list of entries, oldest first; an entry is {id, question, state, collection, view}. */
export const threads = [];

export function restoreSession() {
  let kept;
  try { kept = JSON.parse(stored.get(NAME) ?? "[]"); } catch { return; }
  for (const thread of Array.isArray(kept) ? kept : []) threads.push(thread.map((entry) => ({ ...entry, view: null })));
}

export function saveSession() {
  const kept = threads
    .map((thread) => thread.filter((entry) => entry.id).map(({ id, question, state, collection }) => ({ id, question, state, collection })))
    .filter((thread) => thread.length);
  stored.set(NAME, JSON.stringify(kept.slice(-MOST)));
}

export const entries = () => threads.flatMap((thread) => thread.map((entry) => ({ thread, entry })));
export const findById = (id) => entries().find(({ entry }) => entry.id === id);
export const findByView = (view) => entries().find(({ entry }) => entry.view === view);

export function dropEntry(entry) {
  const found = entries().find((one) => one.entry === entry);
  if (!found) return;
  found.thread.splice(found.thread.indexOf(entry), 1);
  if (!found.thread.length) threads.splice(threads.indexOf(found.thread), 1);
}

/** `#ans_…/2`: an answer, and the citation that is open. The address shows it and never asks anything. */
export function readAddress() {
  const [, id, n] = /^#(ans_[\w-]+)(?:\/(\d{1,3}))?$/.exec(location.hash) ?? [];
  return id ? { id, n: n ? Number(n) : null } : null;
}

export function writeAddress(id, n) {
  const wanted = id ? `#${id}${n ? `/${n}` : ""}` : "";
  if (location.hash !== wanted) history.replaceState(null, "", location.pathname + wanted);
}
