"""Every state the page can be in, through axe, in light and dark, wide and on a phone; and what each of them says."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from evals.upstream import Upstream
from tests.app.web.conftest import (
    PHONE,
    SLOW,
    WIDE,
    Serve,
    Site,
    Watched,
    answers_with,
    body,
    citation,
    claim,
    problem,
    sse,
    streamed,
)
from tests.conftest import QUESTION

pytestmark = pytest.mark.xdist_group("chromium")

_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
TEXT = """Audit logs are kept for 365 days [1]. Exports last longer. Backups may go sooner [2].

1. Open `settings[1]`.
2. Set **days** [1].

- one
- two

```
days = 365  # [1]
```

| plan | days |
| --- | --- |
| Team | 30 [2] |
"""
PAGE = "Retention\n\nAudit logs are kept for 365 days on Enterprise.\n\nNightly backups are kept for ninety days.\n\n- one\n- two\n\nplan | days\nTeam | 30"
CITED = [
    citation(1, "Audit logs are kept for 365 days on Enterprise.", PAGE.index("Audit")),
    citation(2, "Nightly backups are kept for ninety days.", PAGE.index("Nightly"), page=2),
]
CLAIMS = [
    claim(TEXT, "Audit logs are kept for 365 days [1].", "entailed", 1),
    claim(TEXT, "Exports last longer.", "unsupported"),
    claim(TEXT, "Backups may go sooner [2].", "partial", 2),
    claim(TEXT, "Set **days** [1].", "unverified", 1),
]
FULL = body(TEXT, CITED, CLAIMS, confidence=0.84)
WARNED = [{"code": "model_fallback", "message": "openai/first timed out; openai/fake answered."}]
REFUSAL = "The documents do not hold an answer to this question."
RULE = {"rule": "injection", "where": "question", "action": "blocked"}
FAILED = {"type": "answer.failed", "problem": problem("model_timeout", 504, "No token came in 20 s. Try again.", retryable=True)}
BUDGET = problem("budget_exhausted", 402, "The budget `team` is used up.", limit={"name": "team", "amount_usd": 5, "spent_usd": 5}, resets_at="2026-12-01T00:00:00Z")  # fmt: skip


def _ask(page: Page, state: str) -> None:
    page.fill("#question", QUESTION)
    page.press("#question", "Enter")
    page.wait_for_selector(f".answer:last-child[data-state={state}]")


def _stubbed(state: str, **stub: Any) -> Callable[[Page], None]:
    def reach(page: Page) -> None:
        answers_with(page, **stub)
        _ask(page, state)

    return reach


def _hanging(page: Page) -> None:
    page.unroute("**/v1/answers")
    page.route("**/v1/answers", lambda route: None)
    page.fill("#question", QUESTION)
    page.press("#question", "Enter")
    page.wait_for_selector(".answer[data-state=loading]")


def _checked(page: Page) -> None:
    _stubbed("answered", stream=streamed(FULL))(page)
    page.click("text=Check each sentence")
    page.click(".spent summary")


def _opened(page: Page) -> None:
    _stubbed("answered", stream=streamed(FULL))(page)
    page.locator(".prose .cite").first.click()
    page.wait_for_selector("#source-text mark")


def _rating(page: Page) -> None:
    _stubbed("answered", stream=streamed(FULL))(page)
    page.click("button[aria-label='Bad answer']")


def _helped(page: Page) -> None:
    page.evaluate("document.getElementById('help').showModal()")


STATES: dict[str, Callable[[Page], None]] = {
    "empty": lambda page: page.wait_for_selector("#examples h2"),
    "help": _helped,
    "loading": _hanging,
    "answered": _stubbed("answered", stream=streamed(FULL)),
    "checked": _checked,
    "source": _opened,
    "rating": _rating,
    "abstained": _stubbed("abstained", stream=streamed(body(REFUSAL, CITED, [], status="abstained", abstained_because="model_abstained"))),
    "blocked": _stubbed("blocked", stream=streamed(body("This question was blocked.", [], [], status="blocked", guardrails=[RULE]))),
    "degraded": _stubbed("degraded", stream=streamed({**FULL, "status": "degraded", "warnings": WARNED})),
    "failed": _stubbed("failed", stream=streamed(FULL, upto=8).rstrip() + "\n\n" + sse(FAILED).replace('"seq": 0', '"seq": 8').replace("id: 0", "id: 8")),
    "disconnected": _stubbed("disconnected", stream=sse({"type": "answer.delta", "text": "Audit logs"})),
    "budget": _stubbed("failed", refusal=BUDGET),
    "rate": _stubbed("failed", refusal=problem("rate_limited", 429, "Wait a little.", retryable=True, retry_after_s=600)),
    "overloaded": _stubbed("failed", refusal=problem("overloaded", 503, "64 requests are being answered.", retryable=True, retry_after_s=600)),
    "no index": _stubbed("failed", refusal=problem("index_missing", 503, "There is no index yet. Build one with `citewell ingest PATH`.")),
    "key needed": _stubbed("key-needed", refusal=problem("unauthenticated", 401, "A key is needed.")),
    "forbidden": _stubbed("failed", refusal=problem("forbidden", 403, "This key lacks the scope `answer`.")),
    "invalid": _stubbed("failed", refusal=problem("invalid_request", 422, "See `errors`.", errors=[{"field": "question", "message": "too long"}])),
}  # fmt: skip
SAYS = {
    "answered": "of 100 such answers, 84 are right",
    "abstained": "1 passage was read; the best one scores 0.83.",
    "blocked": "injection",
    "degraded": "A fallback answered. openai/first timed out",
    "failed": "checked, but the answer is not complete. No token came",
    "disconnected": "The connection was lost.",
    "budget": "team: $5.00 of $5.00 is spent. It opens again on 1 December (UTC). Nothing was spent",
    "rate": "You can ask again in",
    "overloaded": "64 requests are being answered.",
    "no index": "Nothing is indexed yet.",
    "key needed": "Paste it once.",
    "forbidden": "lacks the scope answer.",
    "invalid": "question too long",
}


@pytest.fixture(scope="module")
def axe() -> str:
    spec = importlib.util.find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page) -> list[Any]:
    # The question's box floats over what is not scrolled to yet: a target that it covers half of is not a small one.
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    found = page.evaluate(
        f"axe.run(document, {{resultTypes: ['violations'], runOnly: {{type: 'tag', values: {json.dumps(_TAGS)}}}}})"
    )
    return [(v["id"], [n["target"] for n in v["nodes"]]) for v in found["violations"]]


def prepared(watched: Watched, site: Site) -> Page:
    page = watched.page(expects=("status of",))
    shown = {"document_id": "doc_1", "uri": "corpus/retention.md", "title": "Retention", "revision": "r1", "metadata": {}, "text": PAGE,
             "headings": [{"start": 0, "level": 1}], "pages": [0, PAGE.index("Nightly")]}  # fmt: skip
    page.route(
        "**/v1/documents/doc_1*", lambda route: route.fulfill(status=200, content_type="application/json", body=json.dumps(shown))
    )
    page.goto(site.url)
    return page


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_in_any_state(watched: Watched, site: Site, axe: str, state: str):
    page = prepared(watched, site)
    STATES[state](page)
    if state in SAYS:
        expect(page.locator(".answer")).to_contain_text(SAYS[state])
    page.evaluate(axe)

    found = {}
    for size in (WIDE, PHONE):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found[size["width"], scheme] = violations(page)
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), size

    assert not any(found.values()), found


@pytest.mark.slow
def test_axe_finds_nothing_while_an_answer_is_written(watched: Watched, serve: Serve, provider: Upstream, axe: str):
    provider.replies["slow"] = SLOW
    page = watched.page(serve("slow").url)
    _ask(page, "streaming")
    page.evaluate(axe)

    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.wait_for_selector(".answer[data-state=stopped]")
    assert violations(page) == []


def test_the_wait_is_counted_down_and_only_its_end_is_said(watched: Watched, site: Site):
    page = watched.page(expects=("status of 429",))
    page.clock.install()
    page.goto(site.url)
    answers_with(page, refusal=problem("rate_limited", 429, "Wait a little.", retryable=True, retry_after_s=12))
    _ask(page, "failed")
    again = page.get_by_role("button", name="Ask again")

    page.clock.run_for(3_100)
    expect(page.locator(".stop-note .num")).to_have_text("You can ask again in 9 s.")
    expect(again).to_be_disabled()
    expect(page.locator("#say")).to_have_text("Rate limited.")
    page.clock.run_for(9_500)
    expect(again).to_be_enabled()
    page.clock.run_for(100)
    expect(page.locator("#say")).to_have_text("You can ask again now.")


def test_lists_code_and_tables_are_drawn_and_markers_in_code_stay_text(watched: Watched, site: Site):
    page = prepared(watched, site)
    answers_with(page, stream=streamed(FULL))
    _ask(page, "answered")

    prose = page.locator(".prose")
    assert prose.locator("ol li").all_inner_texts() == ["Open settings[1].", "Set days 1."]
    assert prose.locator("ul li").all_inner_texts() == ["one", "two"]
    assert prose.locator("pre").inner_text() == "days = 365  # [1]"
    assert [row.locator("td").all_inner_texts() for row in prose.locator("tr").all()] == [["plan", "days"], ["Team", "30 2"]]
    assert prose.locator("code").first.inner_text() == "settings[1]"
    assert prose.locator("strong").inner_text() == "days"
    assert prose.locator(".cite").all_inner_texts() == ["1", "2", "1", "2"]
    claims = page.evaluate("[...document.querySelectorAll('.prose .claim')].map((c) => [c.dataset.support, c.textContent])")
    assert claims[:3] == [
        ["entailed", "Audit logs are kept for 365 days 1."],
        ["unsupported", "Exports last longer."],
        ["partial", "Backups may go sooner 2."],
    ]
    assert prose.locator(".tag").all_text_contents() == [" (no source)", " (partly)"]


def test_a_gap_in_the_numbers_of_a_stream_is_a_lost_connection(watched: Watched, site: Site):
    page = prepared(watched, site)
    whole = streamed(FULL)
    answers_with(page, stream=whole.replace('"seq": 4', '"seq": 5'))
    _ask(page, "disconnected")
    # The stored answer is looked at first; here there is none, and that is said.
    expect(page.locator(".stop-note")).to_contain_text("no such answer", timeout=10_000)


def test_a_document_shows_its_lists_tables_and_pages(watched: Watched, site: Site):
    page = prepared(watched, site)
    answers_with(page, stream=streamed(FULL))
    _ask(page, "answered")
    page.click(".prose .cite[data-n='2'] >> nth=0")

    document = page.locator("#source-text")
    expect(document.locator("mark")).to_have_text("Nightly backups are kept for ninety days.")
    assert document.locator("li").all_inner_texts() == ["one", "two"]
    assert document.locator("td").all_inner_texts() == ["plan", "days", "Team", "30"]
    assert document.locator(".page-mark").all_inner_texts() == ["Page 1", "Page 2"]
    expect(page.locator("#source-path")).to_have_text("corpus/retention.md · Logs · page 2")


def test_with_several_collections_one_is_chosen_and_asked(watched: Watched, site: Site):
    page = watched.page()
    known = [{"name": name, "snapshot": "s", "documents": 2, "chunks": 2} for name in ("docs", "manuals")]
    page.route("**/v1/collections", lambda route: route.fulfill(json={"collections": known}))
    pages = [{"document_id": "d", "uri": "handbook/a.md", "title": "A", "revision": "r"}]
    page.route("**/v1/documents?collection=docs&*", lambda route: route.fulfill(json={"documents": pages, "next": None}))
    page.route(
        "**/v1/documents?collection=manuals&*",
        lambda route: route.fulfill(json={"documents": [{**pages[0], "uri": "m/a.md"}], "next": None}),
    )
    page.goto(site.url)
    expect(page.locator("#examples button")).to_have_count(4)  # examples, only where the handbook is

    page.select_option("#collection", "manuals")

    expect(page.locator("#examples h2")).to_have_text("2 documents in manuals")
    expect(page.locator("#examples button")).to_have_count(0)
    answers_with(page, stream=streamed(FULL))
    with page.expect_request("**/v1/answers") as sent:
        _ask(page, "answered")
    assert sent.value.post_data_json["collection"] == "manuals"
