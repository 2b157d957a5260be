"""What a person does on the page, against the real app: ask, read, look at sources, vote, stop, come back."""

import json
import time
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from app.core.db import ledger
from app.core.db.engine import open_ledger, transaction
from evals.upstream import Upstream
from tests.app.web.conftest import (
    PHONE,
    SLOW,
    TWO,
    Serve,
    Site,
    Watched,
    answers_with,
    ask,
    body,
    citation,
    claim,
    line_to,
    marked,
    streamed,
)
from tests.conftest import QUESTION

pytestmark = pytest.mark.xdist_group("chromium")  # one browser at a time


def answer_id(page: Page) -> str:
    return page.url.partition("#")[2].partition("/")[0]


def body_of(site: Site, page: Page) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{site.url}/v1/answers/{answer_id(page)}").json()
    return found


# ------------------------------------------------------------------------------------------ ask and read


def test_a_question_is_streamed_sentence_by_sentence_until_it_is_answered(watched: Watched, serve: Serve, provider: Upstream):
    provider.replies["slow"] = "Audit logs are kept for 365 days [1]. Other plans keep them for 30 days [1]."
    site = serve("slow")
    page = watched.page(site.url)

    page.fill("#question", QUESTION)
    page.press("#question", "Enter")

    expect(page.locator(".answer h2")).to_have_text(QUESTION)
    expect(page.locator(".answer")).to_have_attribute("data-state", "streaming", timeout=15_000)
    expect(page.locator(".prose .cite")).to_have_count(1)
    expect(page.locator(".prose")).to_have_attribute("aria-busy", "true")
    assert "30 days" not in page.inner_text(".prose")
    expect(page.locator("#stop")).to_be_visible()
    expect(page.locator(".answer")).to_have_attribute("data-state", "answered", timeout=15_000)
    expect(page.locator(".prose .cite")).to_have_count(2)
    expect(page.locator("#say")).to_have_text("Answer ready: 2 sentences, 2 sources, all supported.")
    expect(page.locator(".verdict")).to_contain_text("2 sentences: 2 supported")
    expect(page.locator(".confidence")).to_have_text("Confidence: not calibrated")
    assert page.locator(".tag").count() == 0  # support is silent


def test_a_click_on_a_citation_marks_its_quote_in_its_document(watched: Watched, site: Site):
    page = watched.page(site.url)
    for question in (QUESTION, "When does the 😀 team meet?"):  # the second page has characters beyond 16 bits before its quote
        ask(page, question)
        page.locator(".answer:last-child .prose .cite").first.click()
        first = body_of(site, page)["citations"][0]
        assert marked(page) == first["quote"]
        expect(page.locator("#source-title")).to_have_text(first["title"])
        expect(page.locator("#source-path")).to_contain_text(first["uri"])
        assert page.url.endswith(f"#{answer_id(page)}/1")
        page.keyboard.press("Escape")
        expect(page.locator("#source")).to_be_hidden()


def test_other_quotes_of_the_page_are_underlined(watched: Watched, serve: Serve, provider: Upstream):
    provider.replies["page"] = TWO
    page = watched.page(serve("page").url)
    ask(page, QUESTION)

    page.click(".prose .cite[data-n='2']")

    assert marked(page) == "Other plans keep them for 30 days."
    ranges = page.evaluate(
        "[...CSS.highlights.get('also-cited')].map((r) => r.startContainer.data.slice(r.startOffset, r.endOffset))"
    )
    assert ranges == ["Audit logs are kept for 365 days on the Enterprise plan."]
    page.click("#source-prev")
    expect(page.locator("#source-count")).to_have_text("Source 1 of 2")
    assert marked(page) == ranges[0]


def test_each_sentence_can_be_checked_and_time_and_cost_are_folded(watched: Watched, serve: Serve, provider: Upstream):
    provider.replies["page"] = TWO + " The moon is made of green cheese."
    page = watched.page(serve("page").url)
    ask(page, QUESTION)

    expect(page.locator(".tag")).to_have_text(["(no source)"])
    page.click("text=Check each sentence")
    expect(page.locator(".checks .judged")).to_have_text(["word for word", "word for word", "not supported"])
    expect(page.locator(".checks q").first).to_have_text("Audit logs are kept for 365 days on the Enterprise plan.")
    expect(page.locator(".spent .tables")).to_be_hidden()
    page.click(".spent summary")
    expect(page.locator(".spent")).to_contain_text("openai/fake")
    assert page.locator(".steps rect").count() >= 5
    expect(page.locator(".spent")).to_contain_text("rel_")


def test_an_abstention_shows_what_was_found(watched: Watched, site: Site):
    page = watched.page(site.url)
    ask(page, "Which football team won the cup in 1987?", "abstained")

    expect(page.locator(".kicker")).to_have_text("No answer in these documents")
    page.locator(".sources button").first.click()
    assert marked(page)
    expect(page.locator("#source-count")).to_contain_text("Source 1 of")


def test_a_follow_up_sends_what_was_said_before(watched: Watched, site: Site):
    page = watched.page(site.url)
    ask(page, QUESTION)
    said = body_of(site, page)["answer"]

    with page.expect_request("**/v1/answers") as sent:
        ask(page, "On which port does the gateway listen?")

    asked = sent.value.post_data_json
    assert asked["messages"] == [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": said}]
    expect(page.locator(".answer")).to_have_count(2)
    page.click("#new")
    with page.expect_request("**/v1/answers") as sent:
        ask(page, QUESTION)
    assert sent.value.post_data_json["messages"] == []


def test_a_vote_with_its_reason_is_a_row_of_the_database(watched: Watched, site: Site):
    page = watched.page(site.url)
    ask(page, QUESTION)

    page.click("button[aria-label='Bad answer']")
    page.check("text=Out of date")
    page.fill("textarea[name=correct_answer]", "Ninety days.")
    page.click(".reasons >> text=Send")

    expect(page.locator(".actions [role=status]")).to_contain_text("Thank you")
    engine = open_ledger(site.settings)
    with transaction(engine) as session:
        (row,) = ledger.feedback_on(session, answer_id(page))
        assert (row.rating, row.reason, row.correct_answer) == ("down", "outdated", "Ninety days.")
    engine.dispose()


def test_the_answer_is_copied_with_its_citations(watched: Watched, site: Site):
    page = watched.page(site.url, permissions=["clipboard-read", "clipboard-write"])
    ask(page, QUESTION)

    page.locator(".answer h2").focus()
    page.keyboard.press("c")

    expect(page.locator("#say")).to_have_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    shown = body_of(site, page)
    assert shown["answer"] in copied
    assert f"[1] Retention, corpus/retention.md: “{shown['citations'][0]['quote']}”" in copied
    assert f"Citewell answer {shown['id']}, release {shown['release']['id']}" in copied


def test_the_empty_page_says_true_things_about_the_collection(watched: Watched, site: Site):
    page = watched.page(site.url)

    expect(page.locator("#examples h2")).to_have_text("5 documents in docs")
    expect(page.locator("#examples li")).to_contain_text(["Backups", "oncall"])
    assert page.locator("#examples button").count() == 0
    expect(page.locator("#pick")).to_be_hidden()
    expect(page.locator("#question")).to_be_focused()


# ------------------------------------------------------------------------------------------ keyboard


def test_from_the_question_to_an_opened_quote_and_back_by_keyboard_alone(watched: Watched, serve: Serve, provider: Upstream):
    provider.replies["page"] = TWO
    page = watched.page(serve("page").url)
    press = page.keyboard.press

    press("Escape")
    expect(page.locator("#question")).not_to_be_focused()
    press("/")
    page.keyboard.type(QUESTION)
    press("Shift+Enter")
    assert page.input_value("#question").endswith("\n")
    press("Enter")
    page.wait_for_selector(".answer[data-state=answered]")
    press("Shift+Tab")
    while not page.evaluate("document.activeElement.matches('.prose .cite')"):
        press("Shift+Tab")
    press("ArrowLeft")
    expect(page.locator(".prose .cite[data-n='1']")).to_be_focused()
    press("Enter")
    assert marked(page) == "Audit logs are kept for 365 days on the Enterprise plan."
    press("ArrowRight")
    expect(page.locator("#source-count")).to_have_text("Source 2 of 2")
    expect(page.locator(".prose .cite[data-n='2']")).to_be_focused()
    press("Enter")
    expect(page.locator("#source-title")).to_be_focused()
    press("ArrowLeft")
    expect(page.locator("#source-count")).to_have_text("Source 1 of 2")
    press("Escape")
    expect(page.locator("#source")).to_be_hidden()
    expect(page.locator(".prose .cite[data-n='1']")).to_be_focused()
    press("n")
    expect(page.locator(".answer")).to_have_count(0)
    expect(page.locator("#question")).to_be_focused()


def test_single_letters_can_be_switched_off_and_stay_off(watched: Watched, site: Site):
    page = watched.page(site.url)
    page.locator("#help-open").focus()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.uncheck("#single-keys")
    page.keyboard.press("Escape")
    page.reload()
    page.locator("#help-open").focus()
    page.keyboard.press("/")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_hidden()
    expect(page.locator("#question")).not_to_be_focused()


def test_an_enter_that_ends_an_input_method_sends_nothing(watched: Watched, site: Site):
    page = watched.page(site.url)
    page.fill("#question", "数据")
    page.evaluate(
        "document.getElementById('question').dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))"
    )
    assert page.locator(".answer").count() == 0
    assert page.input_value("#question") == "数据"


# ------------------------------------------------------------------------------------------ keys


def test_a_key_is_pasted_once_and_the_same_question_goes_out(watched: Watched, locked: Any):
    site, full, _, _ = locked
    page = watched.page(site.url, expects=("401",))
    ask(page, QUESTION, "key-needed")

    expect(page.locator("input[name=key]")).to_be_focused()
    page.fill("input[name=key]", full)
    page.keyboard.press("Enter")

    page.wait_for_selector(".answer[data-state=answered]")
    expect(page.locator(".answer")).to_have_count(1)
    expect(page.locator(".answer h2")).to_have_text(QUESTION)
    assert page.evaluate("[sessionStorage.getItem('citewell.key'), localStorage.getItem('citewell.key')]") == [full, None]
    ask(page, "On which port does the gateway listen?")
    page.click("#forget")
    assert page.evaluate("sessionStorage.getItem('citewell.key')") is None
    expect(page.locator("#forget")).to_be_hidden()

    # A stored answer is not asked again for want of a key.
    posts: list[str] = []
    page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
    page.reload()
    page.fill(".answer:last-child input[name=key]", full)
    page.keyboard.press("Enter")
    page.wait_for_selector(".answer:last-child[data-state=answered]")
    assert posts == []


def test_a_key_is_kept_on_the_device_only_when_ticked(watched: Watched, locked: Any):
    site, full, _, _ = locked
    page = watched.page(site.url, expects=("401",))
    ask(page, QUESTION, "key-needed")
    page.fill("input[name=key]", full)
    page.check("input[name=keep]")
    page.click("text=Use this key")
    page.wait_for_selector(".answer[data-state=answered]")

    second = page.context.new_page()
    second.goto(site.url)
    ask(second, QUESTION)
    second.click("#forget")
    assert second.evaluate("localStorage.getItem('citewell.key')") is None


def test_what_a_key_may_not_do_is_said_where_it_matters(watched: Watched, locked: Any):
    site, _, bare, other = locked
    page = watched.page(site.url, expects=("401", "403"))
    page.evaluate("(key) => sessionStorage.setItem('citewell.key', key)", other)
    page.reload()
    ask(page, QUESTION, "failed")
    expect(page.locator(".stop-note")).to_contain_text("lacks the scope answer")
    page.click("text=Use another key")
    page.fill("input[name=key]", bare)
    page.keyboard.press("Enter")
    page.wait_for_selector(".answer[data-state=answered]")

    page.locator(".prose .cite").first.click()
    expect(page.locator("#source-text .note")).to_contain_text("This key may not open documents")
    assert "365 days" in marked(page)
    page.click("button[aria-label='Good answer']")
    expect(page.locator(".actions [role=status]")).to_have_text("This key may not rate answers.")
    assert page.locator("button[aria-label='Good answer']").count() == 0
    ask(page, QUESTION)
    assert page.locator(".answer:last-child button[aria-label='Good answer']").count() == 0


# ------------------------------------------------------------------------------------------ stop, lose, come back


@pytest.mark.slow
def test_stopping_cancels_the_answer_and_its_row(watched: Watched, serve: Serve, provider: Upstream):
    provider.replies["slow"] = SLOW
    site = serve("slow")
    page = watched.page(site.url)
    for by in ("#stop", "Escape"):
        page.fill("#question", QUESTION)
        page.press("#question", "Enter")
        page.wait_for_selector(".answer:last-child[data-state=streaming] .cite")
        page.click(by) if by == "#stop" else page.keyboard.press(by)
        page.wait_for_selector(".answer:last-child[data-state=stopped]")
        expect(page.locator(".answer:last-child .stop-note")).to_contain_text("What stands above was checked.")
        expect(page.locator("#send")).to_be_visible()

    engine = open_ledger(site.settings)
    for _ in range(100):
        with transaction(engine) as session:
            states = [row.status for row in ledger.recent(session, 2)]
        if states == ["cancelled", "cancelled"]:
            break
        time.sleep(0.05)
    engine.dispose()
    assert states == ["cancelled", "cancelled"]


@pytest.mark.slow
def test_after_a_lost_connection_the_stored_answer_is_looked_at_before_another_is_offered(
    watched: Watched, serve: Serve, provider: Upstream
):
    provider.replies["slow"] = SLOW
    with line_to(serve("slow")) as line:
        page = watched.page(line.url, expects=("ERR_INCOMPLETE_CHUNKED_ENCODING",))
        line.cut_before = b"event: claim.verified"
        page.fill("#question", QUESTION)
        page.press("#question", "Enter")
        page.wait_for_selector(".answer[data-state=disconnected]")
        expect(page.locator(".stop-note")).to_contain_text("Not finished.", timeout=10_000)
        expect(page.get_by_role("button", name="Ask again")).to_be_visible()
        expect(page.locator(".prose")).to_contain_text("Audit logs are kept for 365 days")

    provider.replies["page"] = TWO
    with line_to(serve("page")) as line:
        page = watched.page(line.url, expects=("ERR_INCOMPLETE_CHUNKED_ENCODING",))
        line.cut_before = b"event: answer.completed"
        posts = []
        page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
        ask(page, QUESTION)  # it was finished when the line broke: it is shown, and not paid for again
        expect(page.locator(".verdict")).to_contain_text("2 sentences: 2 supported")
        assert len(posts) == 1


def test_a_reload_keeps_the_session_and_shows_the_answer_again(watched: Watched, site: Site):
    page = watched.page(site.url)
    ask(page, QUESTION)
    ask(page, "On which port does the gateway listen?")
    page.click("#new")
    ask(page, "Which football team won the cup in 1987?", "abstained")

    page.reload()

    page.wait_for_selector(".answer[data-state=abstained]")
    expect(page.locator("#history li")).to_have_count(3)
    page.click(f"#history >> text={QUESTION}")
    expect(page.locator(".answer[data-state=answered]")).to_have_count(2)
    expect(page.locator(".answer h2").first).to_have_text(QUESTION)
    page.locator(".answer").first.locator(".prose .cite").first.click()
    assert "365 days" in marked(page)


def test_an_address_opens_a_stored_answer_and_its_citation_and_never_asks(watched: Watched, site: Site):
    page = watched.page(site.url)
    ask(page, QUESTION)
    page.locator(".prose .cite").first.click()
    quote = marked(page)
    address = page.url
    assert address.endswith("/1")

    elsewhere = watched.page()
    posts = []
    elsewhere.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
    elsewhere.goto(address)

    assert marked(elsewhere) == quote
    expect(elsewhere.locator(".answer")).to_have_attribute("data-state", "answered")
    assert posts == []
    gone = watched.page(f"{site.url}/#ans_0000", expects=("404",))
    expect(gone.locator(".stop-note")).to_contain_text("no such answer")


def test_a_failed_model_is_said_with_the_request_and_can_be_asked_again(watched: Watched, serve: Serve):
    page = watched.page(serve("down").url)
    ask(page, QUESTION, "failed")

    expect(page.locator(".stop-note")).to_contain_text("Model unavailable")
    expect(page.locator(".stop-note code").last).to_contain_text("req_")
    again = page.get_by_role("button", name="Ask again")
    expect(again).to_be_disabled()
    expect(again).to_be_enabled(timeout=10_000)
    again.click()
    page.wait_for_selector(".answer[data-state=failed]")
    expect(page.locator(".answer")).to_have_count(1)


def test_without_an_index_the_command_is_shown(watched: Watched, bare: Site):
    page = watched.page(bare.url, expects=("503",))
    expect(page.locator("#examples")).to_contain_text("Nothing is indexed yet.")
    ask(page, QUESTION, "failed")
    expect(page.locator(".stop-note pre")).to_have_text("citewell ingest PATH")
    expect(page.get_by_role("button", name="Ask again")).to_be_visible()


# ------------------------------------------------------------------------------------------ looks and sizes


def test_a_phone_shows_the_source_over_the_page_and_nothing_scrolls_sideways(watched: Watched, serve: Serve, provider: Upstream):
    provider.replies["page"] = TWO
    page = watched.page(serve("page").url, viewport=PHONE, has_touch=True)
    wide = "document.documentElement.scrollWidth > innerWidth"
    assert not page.evaluate(wide)
    ask(page, QUESTION)
    page.click(".spent summary")
    page.click("text=Check each sentence")
    assert not page.evaluate(wide)

    page.tap(".prose .cite[data-n='2']")

    assert marked(page) == "Other plans keep them for 30 days."
    assert page.evaluate("document.querySelector('main').inert")
    assert not page.evaluate(wide)
    box = page.locator("#source").bounding_box()
    assert box is not None
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, 375, 740)
    page.tap("#source-close")
    assert not page.evaluate("document.querySelector('main').inert")
    expect(page.locator(".prose .cite[data-n='2']")).to_be_focused()


def test_dark_print_and_forced_colours_are_honoured(watched: Watched, site: Site):
    page = watched.page(site.url, color_scheme="dark", forced_colors="none")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 22, 21)"
    ask(page, QUESTION)
    page.locator(".prose .cite").first.click()
    marked(page)
    page.emulate_media(media="print", color_scheme="light")
    expect(page.locator("#ask")).to_be_hidden()
    expect(page.locator("#source-text mark").first).to_be_visible()
    page.emulate_media(media="screen", forced_colors="active")
    assert page.evaluate("matchMedia('(forced-colors: active)').matches")
    expect(page.locator("#source-text mark").first).to_be_visible()


def test_a_document_of_a_megabyte_opens_at_its_quote_at_once_and_is_whole_in_the_end(watched: Watched, site: Site):
    quote = "The 😀 vault opens at nine."
    before = "".join(f"Paragraph {n} of the long page, 😀 with some words to fill its line.\n\n" for n in range(7_000))
    after = "".join(f"\n\nParagraph {n} after the quote, with some words to fill its line." for n in range(7_000))
    text = before + quote + after
    assert len(text.encode()) > 900_000
    cited = citation(1, quote, len(before), page=3)
    said = "The vault opens at nine [1]."
    page = watched.page(site.url)
    answers_with(page, stream=streamed(body(said, [cited], [claim(said, said, "entailed", 1)])))
    shown = {"document_id": "doc_1", "collection": "docs", "uri": "x", "title": "Long", "revision": "r1", "metadata": {}, "text": text,
             "headings": [], "pages": [0, len(before) // 2, len(before) - 76]}  # fmt: skip
    page.route(
        "**/v1/documents/doc_1*", lambda route: route.fulfill(status=200, content_type="application/json", body=json.dumps(shown))
    )
    ask(page, "When does the vault open?")

    started = time.perf_counter()
    page.click(".prose .cite")
    assert marked(page) == quote
    assert time.perf_counter() - started < 3
    where = "document.querySelector('#source-text mark').getBoundingClientRect().top"
    top = page.evaluate(where)
    expect(page.locator("#source-text p").first).to_have_text("Page 1", timeout=20_000)
    expect(page.locator("#source-text p").last).to_contain_text("Paragraph 6999 after the quote")
    assert abs(page.evaluate(where) - top) < 2  # what was added above moved nothing
    assert page.locator(".page-mark").all_inner_texts() == ["Page 1", "Page 2", "Page 3"]
    expect(page.locator("#source-path")).to_contain_text("page 3")


def test_a_quote_that_does_not_stand_where_it_should_is_not_marked_elsewhere(watched: Watched, site: Site):
    said = "Logs are kept for a year [1]."
    page = watched.page(site.url)
    answers_with(page, stream=streamed(body(said, [citation(1, "kept for a year", 3)], [claim(said, said, "entailed", 1)])))
    shown = {
        "document_id": "doc_1",
        "uri": "x",
        "title": "T",
        "revision": "r1",
        "metadata": {},
        "text": "Logs are kept for a year.",
    }
    page.route(
        "**/v1/documents/doc_1*", lambda route: route.fulfill(status=200, content_type="application/json", body=json.dumps(shown))
    )
    ask(page, "How long?")
    page.click(".prose .cite")

    expect(page.locator("#source-text .note")).to_contain_text("could not be placed")
    assert page.locator("#source-text mark").count() == 0
