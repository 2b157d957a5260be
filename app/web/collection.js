// What there is to ask: the collections this key may use, and an empty page that says true things about the chosen one.
import { getJson } from "./api.js";
import { el, plural } from "./text.js";

const $ = (id) => document.getElementById(id);
const LOOKED_AT = 100;
const SHOWN = 6;

/** Questions about the handbook, which comes with Citewell; the last one is there to be refused. */
const HANDBOOK = ["How long does a running server take to notice a new snapshot?", "What happens when a client goes away during a stream?",
  "What is a snapshot?", "Which football team won the cup in 1987?"];

export const collection = () => $("collection").value || "docs";

export function chooseCollection(name) {
  if (name && [...$("collection").options].some((option) => option.value === name)) $("collection").value = name;
}

/** Fills the picker; it stays away where there is nothing to pick. A key that may not look asks the default one. */
export async function loadCollections(ask) {
  let found = [];
  try { ({ collections: found } = await getJson("/v1/collections")); } catch { return showEmpty(null); }
  const before = collection();
  $("collection").replaceChildren(...found.map(({ name }) => el("option", { value: name }, name)));
  chooseCollection(found.some(({ name }) => name === before) ? before : found.some(({ name }) => name === "docs") ? "docs" : found[0]?.name);
  $("pick").hidden = found.length < 2;
  if (!found.length) return showEmpty(el("p.aside", {}, "Nothing is indexed yet. ", el("code", {}, "citewell ingest PATH"), " puts documents in."));
  await describe(found, ask);
  $("collection").onchange = () => describe(found, ask);
}

async function describe(found, ask) {
  const chosen = found.find(({ name }) => name === collection());
  let documents = [];
  try { ({ documents } = await getJson(`/v1/documents?collection=${encodeURIComponent(chosen.name)}&limit=${LOOKED_AT}`)); } catch { /* the page works without */ }
  if (chosen.name !== collection()) return; // another one was chosen meanwhile
  if (documents.some(({ uri }) => uri.startsWith("handbook/"))) showEmpty(examples(ask));
  else showEmpty(documents.length ? titles(chosen, documents) : null);
}

function examples(ask) {
  return [
    el("h2", {}, "For example"),
    el("ul", {}, HANDBOOK.map((question) => el("li", {}, el("button", { type: "button", onclick: () => ask(question) }, question)))),
    el("p.aside", {}, "These are about the handbook of Citewell. The last one is not in it."),
  ];
}

function titles({ name, documents: count }, documents) {
  const names = [...new Set(documents.map(({ title }) => title))].sort((a, b) => a.localeCompare(b));
  const total = count ?? documents.length;
  const more = total - Math.min(SHOWN, names.length);
  return [
    el("h2", {}, `${plural(total, "document")} in ${name}`),
    el("ul.titles", {}, names.slice(0, SHOWN).map((title) => el("li", {}, title))),
    more > 0 ? el("p.aside", {}, `and ${more} more`) : null,
  ].filter(Boolean);
}

function showEmpty(content) {
  $("examples").replaceChildren(...[content].flat().filter(Boolean));
}
