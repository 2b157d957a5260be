// What stands below an answer: how far to trust it, its sources, what to do with it, and what it took.
import { SUPPORT } from "./prose.js";
import { el, svg, dollars, millis, plural } from "./text.js";
import { votes } from "./votes.js";

const STEPS = ["guard", "retrieve", "pack", "prompt", "model", "verify", "record"];
const GROUPS = [
  ["supported", "supported", (support) => support === "verbatim" || support === "entailed"],
  ["partial", "partly", (support) => support === "partial"],
  ["unsupported", "no source", (support) => support === "unsupported"],
  ["unverified", "not judged", (support) => support === "unverified"],
];

export function verdict(view) {
  const { claims, confidence } = view.body;
  const line = GROUPS.flatMap(([kind, word, belongs]) => {
    const n = claims.filter((claim) => belongs(claim.support)).length;
    return n ? [" · ", el("span.count", { data: { support: kind } }, `${n} ${word}`)] : [];
  }).slice(1);
  const checks = checkList(view);
  checks.hidden = true;
  const toggle = el("button.quiet", { type: "button", "aria-expanded": "false", onclick: () => {
    checks.hidden = !checks.hidden;
    toggle.setAttribute("aria-expanded", String(!checks.hidden));
    toggle.textContent = checks.hidden ? "Check each sentence" : "Hide the check";
  } }, "Check each sentence");
  return el("section.verdict", { "aria-label": "How far to trust this" },
    el("p.support", {}, el("span", {}, plural(claims.length, "sentence"), ": ", line), claims.length ? toggle : null),
    confidenceLine(confidence), checks);
}

function confidenceLine(share) {
  if (share === null) return el("p.confidence.small", {}, "Confidence: not calibrated");
  return el("p.confidence", {},
    el("strong", {}, share >= 0.9 ? "Very likely right" : share >= 0.75 ? "Probably right" : "Uncertain"),
    svg("svg", { class: "meter", viewBox: "0 0 100 6", preserveAspectRatio: "none", role: "img", "aria-label": `Confidence ${Math.round(share * 100)} %` },
      svg("rect", { class: "track", width: 100, height: 6 }), svg("rect", { class: "fill", width: share * 100, height: 6 })),
    el("span.small", {}, `of 100 such answers, ${Math.round(share * 100)} are right`));
}

function checkList(view) {
  const { claims, citations } = view.body;
  return el("ol.checks", {}, claims.map((claim) => {
    const sources = claim.citations.map((n) => citations.find((citation) => citation.n === n)).filter(Boolean);
    return el("li", { data: { support: claim.support } },
      el("p.judged", {}, glyph(claim.support), SUPPORT[claim.support]?.label ?? claim.support),
      el("p", {}, claim.text.replace(/\s?\[\d{1,3}\]|\*\*|`/g, "")),
      sources.map((citation) => el("p.evidence", {}, view.chip(citation), " ", el("q", {}, citation.quote))),
      sources.length ? null : el("p.evidence", {}, "No source is named for it."));
  }));
}

export function sourceList(view, title) {
  const { citations } = view.body;
  if (!citations.length) return null;
  return el("section.sources", {}, el("h3", {}, title), el("ol", {}, citations.map((citation) =>
    el("li", {}, el("button", { type: "button", data: { n: citation.n }, onclick: (event) => view.hooks.open(citation, view, event.currentTarget) },
      el("span.n", {}, String(citation.n)),
      el("span.what", {},
        el("span.title", {}, citation.title), " ", el("span.where", {}, place(citation)),
        el("span.quote", {}, citation.quote)))))));
}

/** The headings below the title, and the page. */
export function place(citation) {
  const path = citation.heading[0] === citation.title ? citation.heading.slice(1) : citation.heading;
  return [path.join(" › "), citation.page ? `page ${citation.page}` : ""].filter(Boolean).join(" · ");
}

export function actions(view) {
  return el("div.after", {}, votes(view, copyButton(view)));
}

export function copyButton(view) {
  return el("button.quiet", { type: "button", onclick: (event) => view.copy(event.currentTarget) }, "Copy with citations");
}

export function details({ timings_ms: times, usage, release, id, trace_id: trace }) {
  const steps = STEPS.filter((step) => times[step] > 0);
  return el("details.spent", {},
    el("summary", {}, `${millis(times.total ?? 0)} · ${dollars(usage.cost_usd)}`, el("span.more", {}, "time, cost and release")),
    stepBar(steps, times),
    el("div.tables", {},
      el("table", {}, el("caption", {}, "Time"), el("tbody", {},
        steps.map((step) => el("tr", {}, el("th", { scope: "row" }, el(`span.swatch.step-${step}`), step), el("td", {}, millis(times[step])))),
        el("tr.sum", {}, el("th", { scope: "row" }, "total"), el("td", {}, millis(times.total ?? 0))))),
      el("table", {}, el("caption", {}, "Calls and cost"), el("tbody", {}, callRows(usage))),
      el("table", {}, el("caption", {}, "Release"), el("tbody", {},
        [["release", release.id], ["arm", release.arm], ["prompt", release.prompt], ["model", release.model], ["index", release.snapshot], ["answer", id], ["trace", trace]]
          .map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, el("code", {}, value))))))));
}

function callRows(usage) {
  if (!usage.calls.length) return el("tr", {}, el("th", { scope: "row" }, "no model was called"), el("td", {}), el("td", {}, "$0"));
  const row = (name, tokens, cost) => [el("th", { scope: "row" }, name), el("td", {}, tokens), el("td", {}, cost)];
  return [
    ...usage.calls.map((call) => el("tr", {}, row(call.outcome === "ok" ? call.model : `${call.model} (${call.outcome})`,
      `${call.prompt_tokens} in, ${call.completion_tokens} out`, dollars(call.cost_usd)))),
    el("tr.sum", {}, row(usage.estimated ? "total, estimated" : "total", plural(usage.total_tokens, "token"), dollars(usage.cost_usd)))];
}

/** Widths are SVG attributes: the page's policy drops style attributes. */
function stepBar(steps, times) {
  const sum = steps.reduce((total, step) => total + times[step], 0) || 1;
  const bar = svg("svg", { class: "steps", preserveAspectRatio: "none", role: "img", "aria-label": "Time of each step; the table below has the figures" });
  let x = 0;
  for (const step of steps) {
    const width = Math.max((times[step] / sum) * 1000, 3); // a step of no time is still to be seen
    bar.append(svg("rect", { class: `step-${step}`, x, y: 0, width: Math.max(width - 1.5, 1.5), height: 10 }));
    x += width;
  }
  bar.setAttribute("viewBox", `0 0 ${Math.max(x, 1)} 10`);
  return bar;
}

/** Full, half and open circle: the shape carries the verdict, colour only helps. */
function glyph(support) {
  const drawn = svg("svg", { viewBox: "0 0 12 12", class: "glyph", "aria-hidden": "true" }, svg("circle", { cx: 6, cy: 6, r: 4.75, class: "ring" }));
  if (support === "verbatim" || support === "entailed") drawn.append(svg("circle", { cx: 6, cy: 6, r: 4.75, class: "fill" }));
  if (support === "partial") drawn.append(svg("path", { d: "M6 1.25a4.75 4.75 0 0 0 0 9.5z", class: "fill" }));
  if (support === "unverified") drawn.append(svg("path", { d: "M3.5 6h5", class: "ring" }));
  return drawn;
}
