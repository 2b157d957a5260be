// A document's text -> nodes, the quote marked at its exact place. The part around the quote is drawn first and the rest
// while nothing else happens, so that a document of a megabyte opens at once.
import { blocksOf, elementOf } from "./markdown.js";
import { el, unitsOf } from "./text.js";

const WINDOW = 12_000; // characters drawn at once on each side of the quote
const CHUNK = 24_000; // and in one go afterwards

let drawing = 0; // the newest drawing; an older one stops

/**
 * @param sheet   what scrolls
 * @param box     where the blocks go, inside of it
 * @param page    the document as GET /v1/documents/{id} sends it
 * @param quote   the citation to mark
 * @param others  more citations of this text, to be underlined
 */
export function drawDocument(sheet, box, page, quote, others) {
  const turn = ++drawing;
  const { text } = page;
  const places = [quote, ...others].flatMap((one) => [one.start, one.end]);
  const units = unitsOf(text, [...places, ...(page.headings ?? []).map((one) => one.start), ...(page.pages ?? [])]);
  const range = (one) => ({ start: units.get(one.start), end: units.get(one.end) });
  const marked = range(quote);
  const exact = text.slice(marked.start, marked.end) === quote.quote; // if not, the two count differently: never a guess
  const context = { text, marked: exact ? marked : null, under: others.map(range), found: new Set() };

  const headings = new Map((page.headings ?? []).map((one) => [units.get(one.start), one.level]));
  const blocks = withLevels(blocksOf(text, { headings, seemsCode }));
  const breaks = pageBreaks(blocks, (page.pages ?? []).map((at) => units.get(at)));
  const isTitle = (block) => block.kind === "h" && block.from === 0 && text.slice(block.start, block.end) === page.title && !(exact && marked.start < block.to);
  const build = (from, to) => {
    const nodes = [];
    for (let i = from; i < to; i++) {
      if (breaks.has(i)) nodes.push(el("p.page-mark", {}, `Page ${breaks.get(i)}`));
      if (!isTitle(blocks[i])) nodes.push(elementOf(blocks[i], (start, end) => inlineNodes(context, start, end), (block) => `h${block.shown}`));
    }
    return nodes;
  };

  const centre = exact ? marked : { start: 0, end: 0 };
  let first = blocks.findIndex((block) => block.to >= centre.start - WINDOW);
  let last = blocks.findIndex((block) => block.from > centre.end + WINDOW);
  if (first < 0) first = 0;
  if (last < 0) last = blocks.length;
  box.replaceChildren(...build(first, last));
  if (!exact) box.prepend(el("p.note", {}, "The quote could not be placed in this text: ", el("q", {}, quote.quote)));
  frame(box);
  underline(context.found);
  toQuote(sheet, box);

  const rest = () => {
    if (turn !== drawing || (first === 0 && last === blocks.length)) return;
    if (last < blocks.length) {
      const to = chunkEnd(blocks, last, 1);
      box.append(...build(last, to));
      last = to;
    } else {
      const from = chunkEnd(blocks, first - 1, -1) + 1;
      const before = sheet.scrollHeight;
      box.prepend(...build(from, first));
      sheet.scrollTop += sheet.scrollHeight - before; // nothing moves under the reader
      first = from;
    }
    underline(context.found);
    whenIdle(rest);
  };
  whenIdle(rest);
}

export function forgetDrawing() {
  drawing++;
  if (window.Highlight) CSS.highlights.delete("also-cited");
}

const whenIdle = (job) => (window.requestIdleCallback ? requestIdleCallback(job, { timeout: 200 }) : setTimeout(job, 16));

function chunkEnd(blocks, from, by) {
  let i = from;
  for (let size = 0; i >= 0 && i < blocks.length && size < CHUNK; i += by) size += blocks[i].to - blocks[i].from;
  return i;
}

/** Heading levels without gaps, below the pane's own heading: those who listen jump from one to the next. */
function withLevels(blocks) {
  let before = 2;
  for (const block of blocks) if (block.kind === "h") block.shown = before = Math.min(6, before + 1, Math.max(3, block.level + 1));
  return blocks;
}

/** Block number -> page that begins there. */
function pageBreaks(blocks, starts) {
  const found = new Map();
  let i = 0;
  starts.forEach((start, page) => {
    while (i < blocks.length && blocks[i].from < start) i++;
    if (i < blocks.length) found.set(i, page + 1);
  });
  return found;
}

/** Code keeps its lines in a document's text and loses its fences. A guess, for the type only: no offset hangs on it. */
function seemsCode(text) {
  const lines = text.split("\n").filter((line) => line.trim());
  const codish = lines.filter((line) => /^\s{2,}\S|[{}();=<>\\]\s*$|^\s*(?:[$#>]\s|\/\/|[}\])])|\s--?\w|\w+\(.*\)|^[\w.-]+\s*[:=]\s*\S+$|^\w+ \w+ [<-]/.test(line));
  return codish.length * 2 > lines.length || lines.every((line) => /^[^A-Z]/.test(line) && !/[.!?,:;]$/.test(line));
}

/** The quote becomes <mark>, which prints and survives forced colours; the other quotes get ranges, which change no node. */
function inlineNodes({ text, marked, under, found }, start, end) {
  const cuts = [start, end];
  if (marked) for (const at of [marked.start, marked.end]) if (at > start && at < end) cuts.push(at);
  cuts.sort((a, b) => a - b);
  const nodes = [];
  for (let i = 0; i + 1 < cuts.length; i++) {
    const [a, b] = [cuts[i], cuts[i + 1]];
    const piece = document.createTextNode(text.slice(a, b));
    nodes.push(marked && a >= marked.start && b <= marked.end && a < b ? el("mark", {}, piece) : piece);
    for (const other of under) {
      const from = Math.max(other.start, a), to = Math.min(other.end, b);
      if (from < to) found.add(new StaticRange({ startContainer: piece, startOffset: from - a, endContainer: piece, endOffset: to - a }));
    }
  }
  return nodes;
}

function frame(box) {
  const marks = box.querySelectorAll("mark");
  if (!marks.length) return;
  marks[0].before(el("span.vh", {}, "Quote begins. "));
  marks[marks.length - 1].after(el("span.vh", {}, " Quote ends."));
}

function underline(ranges) {
  if (window.Highlight) CSS.highlights.set("also-cited", new Highlight(...ranges));
}

/** Not scrollIntoView: it would move the page behind the pane as well. */
function toQuote(sheet, box) {
  const mark = box.querySelector("mark");
  if (!mark) { sheet.scrollTop = 0; return; }
  sheet.scrollTop += mark.getBoundingClientRect().top - sheet.getBoundingClientRect().top - sheet.clientHeight / 3;
}
