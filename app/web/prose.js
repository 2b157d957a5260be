// An answer's text, its claims and its citations -> nodes. Drawn again as events come; a block that did not change stays.
import { blocksOf, elementOf } from "./markdown.js";
import { el, unitsOf } from "./text.js";

/** What a verdict is called, and the word it gets in the text: a supported sentence has none. */
export const SUPPORT = {
  verbatim: { label: "word for word", tag: null },
  entailed: { label: "supported", tag: null },
  partial: { label: "partly supported", tag: "partly" },
  unsupported: { label: "not supported", tag: "no source" },
  unverified: { label: "not judged", tag: null },
};

const CODE = /```[^]*?```|(?<!`)`(?!`)[^`\n]+`(?!`)/g; // as the service reads it: a marker inside is text
const MARKERS = /[ \t]?(?:\[\d{1,3}\])+/g;
const STRONG = /\*\*(?=\S)([^*\n]*[^*\s])\*\*/g;
const MOST_KEPT = 14; // characters of a word that stay on one line with its citation

/**
 * @param box     where the blocks stand
 * @param answer  {text, claims, citations}: offsets in code points
 * @param fresh   UTF-16 index from which on the text is new
 * @param chip    citation -> its button
 */
export function drawProse(box, { text, claims, citations }, fresh, chip) {
  const units = unitsOf(text, claims.flatMap((claim) => [claim.start, claim.end]));
  const placed = claims.map((claim) => ({ start: units.get(claim.start), end: units.get(claim.end), support: claim.support }));
  const byNumber = new Map(citations.map((citation) => [citation.n, citation]));
  const code = rangesOf(text, CODE);
  const held = box.contains(document.activeElement) ? [...box.querySelectorAll(".cite")].indexOf(document.activeElement) : -1;
  const blocks = blocksOf(text);
  blocks.forEach((block, i) => {
    const inside = placed.filter((claim) => claim.start < block.to && claim.end > block.from);
    const known = citations.filter(({ n }) => text.slice(block.from, block.to).includes(`[${n}]`)).map(({ n }) => n);
    const print = JSON.stringify([block.kind, text.slice(block.from, block.to), inside.map((c) => [c.start - block.from, c.end - block.from, c.support]), known]);
    const old = box.children[i];
    if (old?.print === print) return;
    const inline = block.kind === "code"
      ? (start, end) => [text.slice(start, end)]
      : (start, end) => inlineNodes(text, start, end, { claims: inside, code, byNumber, fresh, chip });
    const node = elementOf(block, inline);
    node.print = print;
    if (old) old.replaceWith(node); else box.append(node);
  });
  while (box.children.length > blocks.length) box.lastElementChild.remove();
  if (held >= 0) box.querySelectorAll(".cite")[held]?.focus({ preventScroll: true });
}

function rangesOf(text, pattern) {
  return [...text.matchAll(pattern)].map((match) => ({ start: match.index, end: match.index + match[0].length }));
}

/** Runs of one line of text, each cut at the edges of claims, and gathered by claim. */
function inlineNodes(text, start, end, { claims, code, byNumber, fresh, chip }) {
  const edges = [start, ...claims.flatMap((claim) => [claim.start, claim.end]).filter((at) => at > start && at < end), end];
  const cuts = [...new Set(edges)].sort((a, b) => a - b);
  const strong = rangesOf(text.slice(start, end), STRONG).map((range) => ({ start: start + range.start, end: start + range.end }));
  const nodes = [];
  for (let i = 0; i + 1 < cuts.length; i++) {
    const [a, b] = [cuts[i], cuts[i + 1]];
    const pieces = piecesOf(text, a, b, { code, strong, byNumber, chip });
    const late = a >= fresh ? " new" : "";
    const claim = claims.find((one) => one.start <= a && b <= one.end);
    if (!claim) {
      nodes.push(late ? el("span.new", {}, pieces) : pieces);
      continue;
    }
    nodes.push(el("span", { class: "claim" + late, data: { support: claim.support } }, pieces));
    const tag = SUPPORT[claim.support]?.tag;
    if (tag && b === claim.end) nodes.push(el("span.tag", { data: { support: claim.support } }, el("span.vh", {}, " ("), tag, el("span.vh", {}, ")")));
  }
  return nodes.flat();
}

/** Code, bold, and `[n]` turned into buttons where a citation n exists; the word before and the stop after stay with it. */
function piecesOf(text, a, b, { code, strong, byNumber, chip }) {
  const nodes = [];
  let at = a;
  const plain = (end) => { if (end > at) nodes.push(...bolded(text, at, end, strong)); at = Math.max(at, end); };
  const inCode = (place) => code.find((range) => range.start <= place && place < range.end);
  MARKERS.lastIndex = 0;
  const marks = [...text.slice(a, b).matchAll(MARKERS)].map((m) => ({ start: a + m.index, end: a + m.index + m[0].length, run: m[0] })).filter((m) => !inCode(m.start));
  const spans = [...code.filter((c) => c.start >= a && c.end <= b).map((c) => ({ ...c, run: null })), ...marks].sort((x, y) => x.start - y.start);
  for (const span of spans) {
    if (span.start < at) continue;
    if (span.run === null) {
      plain(span.start);
      const ticks = /^`+/.exec(text.slice(span.start, span.end))[0].length;
      nodes.push(el("code", {}, text.slice(span.start + ticks, span.end - ticks)));
      at = span.end;
      continue;
    }
    const numbers = [...span.run.matchAll(/\d+/g)].map((digits) => Number(digits[0]));
    if (!numbers.some((n) => byNumber.has(n))) continue; // no citation of that number: it stays text
    const word = /[^\s*`]*$/.exec(text.slice(Math.max(at, span.start - MOST_KEPT), span.start))[0];
    const stop = /^[.,;:!?)”’]*/.exec(text.slice(span.end, b))[0];
    plain(span.start - word.length);
    nodes.push(el("span.keep", {}, word, /^\s?/.exec(span.run)[0], numbers.map((n) => (byNumber.has(n) ? chip(byNumber.get(n)) : `[${n}]`)), stop));
    at = span.end + stop.length;
  }
  plain(b);
  return nodes;
}

function bolded(text, a, b, strong) {
  const nodes = [];
  let at = a;
  for (const range of strong) {
    const from = Math.max(range.start, at), to = Math.min(range.end, b);
    if (from >= to) continue;
    nodes.push(text.slice(at, from), el("strong", {}, text.slice(Math.max(from, range.start + 2), Math.min(to, range.end - 2))));
    at = to;
  }
  nodes.push(text.slice(at, b));
  return nodes;
}
