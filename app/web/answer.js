// One question and its answer. The view is a fold of events, as the body is: an answer from the stream and one that was
// stored are drawn by the same code.
import { actions, details, sourceList, verdict } from "./foot.js";
import { drawProse } from "./prose.js";
import { showCut, showFailure, showLoss, showStop } from "./stops.js";
import { countPoints, el, plural } from "./text.js";

export const BECAUSE = {
  nothing_relevant: "Nothing in the collection comes close to the question.",
  evidence_insufficient: "Pages touch on it, but none carries an answer.",
  sources_disagree: "The sources disagree. They are listed below.",
  question_unclear: "The question can be read in several ways. Say which one you mean.",
  not_permitted: "Pages that may answer it are not open to you.",
  model_abstained: "The model read the pages and found no answer in them.",
};

let counter = 0;

export class AnswerView {
  /** hooks: say(text), open(citation, view, button), again(view), look(view), changed(view) */
  constructor(question, hooks) {
    this.question = question;
    this.hooks = hooks;
    this.forget();
    this.state = "loading";
    const id = `q${++counter}`;
    this.root = el("article.answer", { "aria-labelledby": id, data: { state: "loading" } },
      this.heading = el("h2", { id, tabindex: "-1" }, question ?? "An earlier answer"),
      this.progress = el("p.progress", {}, "Searching the collection"),
      this.notes = el("div.notes"),
      this.prose = el("div.prose", { "aria-busy": "true" }),
      this.foot = el("div.foot"));
  }

  forget() {
    this.text = "";
    this.citations = [];
    this.claims = [];
    this.warnings = [];
    this.passages = null;
    this.guardrail = null;
    this.body = null;
    this.fresh = 0;
    this.above = 0; // how many warnings stand above the answer
  }

  setState(state) {
    this.state = state;
    this.root.dataset.state = state;
    if (state === "loading" || state === "streaming") return;
    this.progress.remove();
    this.prose.removeAttribute("aria-busy");
    this.hooks.changed(this);
  }

  handle(event) {
    switch (event.type) {
      case "answer.created":
        this.id = event.id;
        this.release = event.release;
        this.hooks.changed(this);
        break;
      case "retrieval.completed": this.found(event.passages); break;
      case "guardrail.triggered": this.guardrail = event.guardrail; break;
      case "warning.added":
        this.warnings.push(event.warning);
        if (!this.text) this.noteAbove(this.warnings);
        break;
      case "citation.added": this.citations.push(event.citation); break; // kept, so that the next delta's [n] becomes a button
      case "answer.delta": this.write(event.text); break;
      case "claim.verified":
        this.claims.push(event.claim);
        this.draw();
        break;
      case "answer.completed": this.complete(event.answer); break;
      case "answer.failed": this.fail(event.problem); break;
      default: // an event this page does not know is skipped: the service may be newer
    }
  }

  found(passages) {
    this.passages = passages;
    const titles = [...new Set(passages.map((passage) => passage.title))].join(", ");
    this.progress.textContent = passages.length ? `Reading ${plural(passages.length, "passage")}: ${titles}` : "Nothing was found";
    this.hooks.say(passages.length ? `Found ${plural(passages.length, "passage")}.` : "Nothing was found.");
  }

  write(text) {
    if (this.state === "loading") {
      this.setState("streaming");
      this.progress.textContent = "Writing and checking";
    }
    this.fresh = this.text.length;
    this.text += text;
    this.draw();
  }

  draw() {
    drawProse(this.prose, this, this.fresh, (citation) => this.chip(citation));
  }

  chip(citation) {
    return el("button.cite", { type: "button", "aria-expanded": "false", "aria-controls": "source",
      "aria-label": `Source ${citation.n}: ${citation.title}`, data: { n: citation.n },
      onclick: (event) => this.hooks.open(citation, this, event.currentTarget) }, String(citation.n));
  }

  /** The body wins over what was folded. The two agree, unless something was lost on the way. */
  complete(body, { quietly = false } = {}) {
    this.body = body;
    this.id = body.id;
    this.release = body.release;
    if (quietly) this.fresh = body.answer.length; // what was read before does not arrive again
    this.text = body.answer;
    this.citations = body.citations;
    this.claims = body.claims;
    this.draw();
    const late = quietly || body.status === "degraded" ? [] : body.warnings.slice(this.above); // a note above would move what is being read
    this.noteAbove(body.warnings.filter((warning) => !late.includes(warning)));
    if (body.status === "abstained") this.drawAbstained(body);
    else if (body.status === "blocked") this.drawBlocked(body);
    else this.foot.replaceChildren(...[verdict(this), sourceList(this, "Sources"), actions(this), details(body)].filter(Boolean));
    this.foot.prepend(...late.map((warning) => this.note(warning)));
    this.warnings = body.warnings;
    this.setState(body.status);
    if (!quietly) this.hooks.say(this.spoken());
  }

  /** An answer that ended otherwise, as GET /v1/answers/{id} shows it: the text sent so far, without its claims. */
  unfinished(shown) {
    this.text = shown.answer;
    this.fresh = shown.answer.length;
    this.draw();
    if (shown.status === "failed" && shown.problem) this.fail(shown.problem);
    else if (shown.status === "running") this.running();
    else this.cancelled();
  }

  spoken() {
    if (this.body.status === "abstained") return `No answer in the documents. ${BECAUSE[this.body.abstained_because] ?? ""}`;
    if (this.body.status === "blocked") return "Blocked by a rule.";
    const weak = this.claims.filter((claim) => claim.support === "partial" || claim.support === "unsupported").length;
    const judged = this.claims.some((claim) => claim.support !== "unverified");
    return `Answer ready: ${plural(this.claims.length, "sentence")}, ${plural(this.citations.length, "source")}` +
      (weak ? `, ${weak} not fully supported.` : judged ? ", all supported." : ".");
  }

  noteAbove(warnings) {
    this.above = warnings.length;
    this.notes.replaceChildren(...warnings.map((warning) => this.note(warning)));
  }

  note(warning) {
    const fallback = this.body?.status === "degraded" && /fallback|model/.test(warning.code);
    return el(fallback ? "p.note" : "p.hint-note", {}, fallback ? el("strong", {}, "A fallback answered. ") : null, warning.message);
  }

  kicker(text) {
    this.kick?.remove();
    this.prose.before(this.kick = el("p.kicker", {}, text));
  }

  drawAbstained(body) {
    this.kicker("No answer in these documents");
    const read = this.passages?.length ?? body.citations.length;
    const best = Math.max(...(this.passages ?? body.citations).map((one) => one.score));
    this.foot.replaceChildren(...[
      el("p.reason", {}, BECAUSE[body.abstained_because] ?? body.abstained_because,
        read ? ` ${plural(read, "passage was", "passages were")} read; the best one scores ${best.toFixed(2)}. Open what was found, or ask in other words.` : " Ask in other words."),
      sourceList(this, "What was found"), actions(this), details(body)].filter(Boolean));
  }

  drawBlocked(body) {
    const rule = body.guardrails[0] ?? this.guardrail;
    this.kicker("Blocked by a rule");
    this.foot.replaceChildren(
      el("p.reason", {}, rule?.where === "answer" ? "What the model wrote is held back." : "If the question was meant well, put it in other words."),
      el("p.small", {}, "Rule ", el("code", {}, rule?.rule ?? "unknown"), ` on the ${rule?.where ?? "question"} · answer `, el("code", {}, body.id)),
      details(body));
  }

  /** How many sentences stand there, for the notes on answers that came to no end. */
  get standing() { return this.claims.length || Number(countPoints(this.text) > 0); }

  fail(problem) { showFailure(this, problem); }
  disconnected() { showLoss(this, "asking"); }
  running() { showLoss(this, "running"); }
  unreachable() { showLoss(this, "unreachable"); }
  cancelled() { showCut(this); }
  stopped() { showStop(this); }

  async copy(button) {
    if (!this.text) return;
    try { await navigator.clipboard.writeText(this.asText()); } catch { this.hooks.say("The browser did not allow copying."); return; }
    this.hooks.say("Copied.");
    if (!button) return;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy with citations"; }, 1600);
  }

  asText() {
    const where = (c) => [c.title, c.heading.filter((name) => name !== c.title).join(" › "), c.uri, c.page && `page ${c.page}`].filter(Boolean).join(", ");
    const sources = this.citations.map((c) => `[${c.n}] ${where(c)}: “${c.quote}”`);
    const weak = this.claims.filter((claim) => claim.support === "partial" || claim.support === "unsupported");
    return [this.question, "", this.text, "", ...sources,
      ...(weak.length ? ["", "Not fully supported:", ...weak.map((claim) => `- ${claim.text}`)] : []),
      "", `Citewell answer ${this.id}, release ${this.release?.id ?? "unknown"}`].filter((line) => line !== null).join("\n");
  }
}
