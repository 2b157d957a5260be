// Text -> blocks, as ranges of the text: nothing is copied or rewritten, so an offset stays what it was.
// Restricted on purpose: paragraphs, headings, `-` and `1.` lists, fenced code, rows with |. Everything else is text.
import { el } from "./text.js";

const ITEM = /^([ \t]*)(?:[-*+•]|(\d{1,3})[.)])[ \t]+(?=\S)/;
const HEADING = /^(#{1,6}) +(?=\S)/;
const RULE = /^[ \t]*\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const FENCE = /^[ \t]*```/;

/**
 * Blocks in order. `p`, `h`, `code`: {start, end}; `ul`, `ol`: {items: [{start, end, depth, number}]}; `table`: {rows: [[{start, end}]]}.
 * All offsets are UTF-16 units. `headings` (start -> level) names lines that are headings without a mark of their own.
 */
export function blocksOf(text, { headings = new Map(), seemsCode = () => false } = {}) {
  const lines = linesOf(text);
  const blocks = [];
  let i = 0;
  const special = (k) => {
    const line = lines[k];
    return !line.text.trim() || headings.has(line.start) || HEADING.test(line.text) || ITEM.test(line.text) || fenceAt(text, line) || tableAt(lines, k);
  };
  while (i < lines.length) {
    const line = lines[i];
    if (!line.text.trim()) { i++; continue; }
    const fence = fenceAt(text, line);
    if (fence) {
      blocks.push({ kind: "code", start: fence.start, end: fence.end, from: line.start, to: fence.behind });
      while (i < lines.length && lines[i].end <= fence.behind) i++;
      if (i < lines.length && lines[i].start < fence.behind) lines[i] = cut(text, lines[i], fence.behind); // text on the closing line
      continue;
    }
    const level = headings.get(line.start) ?? HEADING.exec(line.text)?.[1].length;
    if (level) {
      const mark = headings.has(line.start) ? 0 : HEADING.exec(line.text)[0].length;
      blocks.push({ kind: "h", level, start: line.start + mark, end: line.end, from: line.start, to: line.end });
      i++;
      continue;
    }
    if (ITEM.test(line.text)) {
      const { block, next } = listAt(lines, i, headings);
      blocks.push(block);
      i = next;
      continue;
    }
    const rows = tableAt(lines, i);
    if (rows) {
      blocks.push(tableOf(lines.slice(i, i + rows)));
      i += rows;
      continue;
    }
    const first = i++;
    while (i < lines.length && !special(i)) i++;
    const range = { start: line.start, end: lines[i - 1].end };
    blocks.push({ kind: i - first > 1 && seemsCode(text.slice(range.start, range.end)) ? "code" : "p", ...range, from: range.start, to: range.end });
  }
  return blocks;
}

/** An element for a block; `inline(start, end)` gives the nodes of a range of its text. */
export function elementOf(block, inline, heading = () => "p.subhead") {
  switch (block.kind) {
    case "code": return el("pre", { tabindex: "0", role: "group", "aria-label": "Code" }, el("code", {}, inline(block.start, block.end)));
    case "h": return el(heading(block), {}, inline(block.start, block.end));
    case "ul":
    case "ol": return el(block.kind, {}, block.items.map((item) =>
      el("li", { value: block.kind === "ol" ? item.number : null, data: { depth: item.depth } }, inline(item.start, item.end))));
    case "table": return el("div.scroll", { tabindex: "0", role: "group", "aria-label": "Table" }, el("table", {}, el("tbody", {}, block.rows.map((row) =>
      el("tr", {}, row.map((cell) => el("td", {}, inline(cell.start, cell.end))))))));
    default: return el("p", {}, inline(block.start, block.end));
  }
}

function linesOf(text) {
  const lines = [];
  for (let start = 0; start <= text.length;) {
    const at = text.indexOf("\n", start);
    const end = at < 0 ? text.length : at;
    lines.push({ start, end, text: text.slice(start, end) });
    start = end + 1;
  }
  return lines;
}

const cut = (text, line, start) => ({ start, end: line.end, text: text.slice(start, line.end) });

/** A fence that nothing closes is no code, and one within a line is inline code: so say those who find the citations. */
function fenceAt(text, line) {
  if (!FENCE.test(line.text)) return null;
  const open = line.start + line.text.indexOf("```");
  const close = text.indexOf("```", open + 3);
  const start = line.end + 1;
  if (close < 0 || close < start) return null;
  return { start, end: close > start && text[close - 1] === "\n" ? close - 1 : close, behind: close + 3 };
}

function listAt(lines, first, headings) {
  const ordered = ITEM.exec(lines[first].text)[2] !== undefined;
  const items = [];
  let i = first;
  for (; i < lines.length; i++) {
    const { text, start, end } = lines[i];
    const item = headings.has(start) ? null : ITEM.exec(text);
    if (item) {
      const depth = Math.min(3, Math.floor(item[1].replace(/\t/g, "  ").length / 2));
      if (depth === 0 && (item[2] !== undefined) !== ordered) break; // another kind of list begins
      items.push({ start: start + item[0].length, end, depth, number: item[2] && Number(item[2]) });
    } else if (!text.trim()) {
      const next = lines[i + 1];
      if (!next || headings.has(next.start) || !ITEM.test(next.text)) break; // a blank line between two items does not end a list
    } else if (/^[ \t]{2,}/.test(text) && !FENCE.test(text)) {
      items.at(-1).end = end;
    } else break;
  }
  return { block: { kind: ordered ? "ol" : "ul", items, from: lines[first].start, to: items.at(-1).end }, next: i };
}

const isRow = (line) => line !== undefined && (/^[ \t]*\|.*\|/.test(line.text) || line.text.includes(" | "));

/** How many rows of a table begin here; one alone is a sentence with a bar in it. */
function tableAt(lines, first) {
  let n = 0;
  while (isRow(lines[first + n]) || (n > 0 && RULE.test(lines[first + n]?.text ?? ""))) n++;
  return n > 1 ? n : 0;
}

function tableOf(lines) {
  const rows = lines.filter((line) => !RULE.test(line.text)).map((line) => {
    const cells = [];
    const edges = [-1, ...[...line.text.matchAll(/\|/g)].map((bar) => bar.index), line.text.length];
    for (let i = 0; i + 1 < edges.length; i++) {
      const cell = line.text.slice(edges[i] + 1, edges[i + 1]);
      if (!cell.trim() && (i === 0 || i + 2 === edges.length)) continue; // outside of the outer bars
      const lead = cell.length - cell.trimStart().length;
      const start = line.start + edges[i] + 1 + lead;
      cells.push({ start, end: start + cell.trim().length });
    }
    return cells;
  });
  return { kind: "table", rows, from: lines[0].start, to: lines.at(-1).end };
}
