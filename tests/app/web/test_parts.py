"""The page's modules by themselves, inside a page; the colours by their formula; what is served, and how."""

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from app.api.edge import POLICY
from app.api.pages import FOLDER
from tests.app.web.conftest import Site, Watched, module
from tests.conftest import QUESTION

pytestmark = pytest.mark.xdist_group("chromium")


@pytest.fixture
def page(watched: Watched, site: Site) -> Page:
    return watched.page(site.url)


def run(page: Page, name: str, code: str, *given: Any) -> Any:
    """Call a function of ``(module, ...given)`` in the page."""
    return page.evaluate(
        f"async ([address, given]) => ({code})(await import(address), ...given)", [module(page, name), list(given)]
    )


# ------------------------------------------------------------------------------------------ text, events


def test_offsets_count_code_points(page: Page):
    for text in ("plain", "a𝜏b😀c", "😀😀", "é́", "数据保留。", "👩‍👩‍👧 family", ""):
        ranges = [(a, b) for a in range(len(text) + 1) for b in range(a, len(text) + 1)]
        assert run(page, "text.js", "(m, t, all) => all.map(([a, b]) => m.slicePoints(t, a, b))", text, ranges) == [text[a:b] for a, b in ranges]  # fmt: skip
        assert run(page, "text.js", "(m, t) => m.countPoints(t)", text) == len(text)
        units = run(page, "text.js", "(m, t, all) => [...m.unitsOf(t, all)]", text, list(range(len(text), -1, -1)))
        assert dict(units) == {p: len(text[:p].encode("utf-16-le")) // 2 for p in range(len(text) + 1)}


EVENTS = (
    'event: a\nid: 0\ndata: {"text": "Zwölf 😀 数"}\n\n: keep-alive\n\ndata: x\ndata: y\n\nevent: b\ndata\n\ndata: never finished'
)
READ = """async (m, source, cut) => {
    const bytes = new TextEncoder().encode(source);
    const found = [];
    for (let at = cut ?? 0; at <= (cut ?? bytes.length); at++) {
        const parts = [bytes.slice(0, at), bytes.slice(at)];
        const body = new ReadableStream({ pull(c) { const part = parts.shift(); if (part) { if (part.length) c.enqueue(part); else this.pull(c); } else c.close(); } });
        const events = [];
        for await (const event of m.readEvents(body)) events.push(event);
        found.push(JSON.stringify(events));
    }
    return [...new Set(found)];
}"""


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_stream_reads_the_same_wherever_it_is_cut(page: Page, newline: str):
    (found,) = run(page, "sse.js", READ, EVENTS.replace("\n", newline))

    assert found == (
        '[{"event":"a","data":"{\\"text\\": \\"Zwölf 😀 数\\"}","id":"0"},'
        '{"event":"message","data":"x\\ny","id":"0"},{"event":"b","data":"","id":"0"}]'
    )


FAULT = """async (m, source, silent) => {
    const body = new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode(source)); if (!silent) c.close(); } });
    const events = [];
    try { for await (const event of m.answerEvents(body, { idle: 60 })) events.push(event.type); } catch (e) { return [events, e instanceof m.StreamError, e.message]; }
    return [events, false, ""];
}"""


@pytest.mark.parametrize(
    ("source", "silent", "events", "fault"),
    [
        ('data: {"type":"answer.created","seq":0}\n\ndata: {"type":"answer.completed","seq":1}\n\ndata: {"type":"x","seq":2}\n\n', False, ["answer.created", "answer.completed"], ""),
        ('data: {"type":"answer.created","seq":0}\n\ndata: {"type":"answer.delta","seq":2}\n\n', False, ["answer.created"], "event 2 where 1 was due"),
        ('data: {"type":"answer.created","seq":0}\n\n', False, ["answer.created"], "the stream ended early"),
        ('data: {"type":"answer.created","seq":0}\n\n', True, ["answer.created"], "silence"),
        ("data: <html>\n\n", False, [], "not JSON"),
    ],
    ids=["whole", "gap", "early", "silent", "junk"],
)  # fmt: skip
def test_only_the_last_event_ends_an_answer(page: Page, source: str, silent: bool, events: list[str], fault: str):
    assert run(page, "sse.js", FAULT, source, silent) == [events, bool(fault), fault]


# ------------------------------------------------------------------------------------------ Markdown


def blocks(page: Page, text: str, **options: Any) -> list[Any]:
    """Kind and texts of each block."""
    code = """(m, text) => m.blocksOf(text).map((b) => [b.kind, ...(b.items ?? b.rows ?? [b]).map((one) =>
        Array.isArray(one) ? one.map((cell) => text.slice(cell.start, cell.end)) : text.slice(one.start, one.end))])"""
    found: list[Any] = run(page, "markdown.js", code, text)
    return found


def test_markdown_is_cut_into_ranges_of_the_text(page: Page):
    for text, wanted in (
        ("One.\nTwo.\n\nThree.", [["p", "One.\nTwo."], ["p", "Three."]]),
        ("Do:\n- a\n- b\n  more\n\n- c\n\nEnd.", [["p", "Do:"], ["ul", "a", "b\n  more", "c"], ["p", "End."]]),
        ("1. a\n2) b\n- c", [["ol", "a", "b"], ["ul", "c"]]),
        ("## Head [1]\ntext", [["h", "Head [1]"], ["p", "text"]]),
        ("```py\nx = [1]\n\ny\n```\nAfter [1].", [["code", "x = [1]\n\ny"], ["p", "After [1]."]]),
        ("```\nx\n``` [1]", [["code", "x"], ["p", " [1]"]]),
        ("```\nnever closed [1]", [["p", "```\nnever closed [1]"]]),
        ("Say ```x``` now.", [["p", "Say ```x``` now."]]),
        ("| a | b |\n|---|:-:|\n| 1 | 2 [1] |", [["table", ["a", "b"], ["1", "2 [1]"]]]),
        ("a | b\nc | d", [["table", ["a", "b"], ["c", "d"]]]),
        ("Either a | b.", [["p", "Either a | b."]]),
        ("😀 - not a list\n-5 degrees", [["p", "😀 - not a list\n-5 degrees"]]),
        ("", []),
    ):
        assert blocks(page, text) == wanted, text


DRAW = """(m, text, claims, citations) => {
    const box = document.createElement('div');
    const chip = (c) => Object.assign(document.createElement('button'), { className: 'cite', textContent: c.n });
    m.drawProse(box, { text, claims, citations }, text.length, chip);
    return [...box.querySelectorAll('.claim')].map((c) => [c.dataset.support, c.textContent]);
}"""


def test_claims_are_cut_at_their_code_points_after_any_character(page: Page):
    text = "😀 𝜏 first [1]. `x😀[1]` second [1][2], third."
    cut = [("😀 𝜏 first [1].", "entailed"), ("`x😀[1]` second [1][2],", "partial"), ("third.", "unsupported")]
    claims = [{"start": text.index(part), "end": text.index(part) + len(part), "support": support} for part, support in cut]

    found = run(page, "prose.js", DRAW, text, claims, [{"n": 1}])

    assert found == [["entailed", "😀 𝜏 first 1."], ["partial", "x😀[1] second 1[2],"], ["unsupported", "third."]]


def test_a_block_that_did_not_change_is_not_drawn_again(page: Page):
    code = """(m) => {
        const box = document.createElement('div');
        const draw = (text, claims) => m.drawProse(box, { text, claims, citations: [] }, 0, () => null);
        draw('One.\\n\\nTwo', []);
        const [first, second] = box.children;
        draw('One.\\n\\nTwo.', [{ start: 6, end: 10, support: 'partial' }]);
        return [box.children[0] === first, box.children[1] === second, box.textContent];
    }"""
    assert run(page, "prose.js", code) == [True, False, "One.Two. (partly)"]


# ------------------------------------------------------------------------------------------ colours


def _tokens(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", css))


def _light(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    a, b = sorted((_light(one), _light(other)), reverse=True)
    return (a + 0.05) / (b + 0.05)


PAIRS = [
    *((text, ground, 4.5) for text in ("ink", "soft", "faint", "accent", "caution") for ground in ("paper", "sheet")),
    ("ink", "mark", 4.5), ("ink", "caution-tint", 4.5), ("ink", "tint", 4.5), ("accent", "tint", 4.5), ("caution", "caution-tint", 4.5),
    ("on-accent", "accent", 4.5), ("edge", "paper", 3), ("edge", "sheet", 3), ("accent", "paper", 3),
]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_pair_of_colours_has_its_contrast(scheme: str):
    css = (FOLDER / "app.css").read_text()
    light, dark = (
        css[: css.index("prefers-color-scheme: dark")],
        css[css.index("prefers-color-scheme: dark") : css.index("/* ---- ground")],
    )
    tokens = {**_tokens(light), **(_tokens(dark) if scheme == "dark" else {})}

    for text, ground, least in PAIRS:
        assert contrast(tokens[text], tokens[ground]) >= least, (text, ground)


# ------------------------------------------------------------------------------------------ what is served


def test_the_page_is_looked_at_anew_and_its_assets_are_kept_for_a_year(site: Site):
    with httpx.Client(base_url=site.url) as client:
        home = client.get("/")
        assert (home.status_code, home.headers["cache-control"]) == (200, "no-cache")
        assert home.headers["content-security-policy"] == POLICY
        prefix = re.search(r'src="(/s/[0-9a-f]{16}/)app\.js"', home.text)
        assert prefix
        assert "/s/-/" not in home.text
        for path in FOLDER.iterdir():
            if path.suffix in (".js", ".css"):
                sent = client.get(prefix[1] + path.name)
                assert sent.content == path.read_bytes()
                assert sent.headers["cache-control"] == "public, max-age=31536000, immutable"
                assert sent.headers["content-type"].startswith("text/javascript" if path.suffix == ".js" else "text/css")
                assert sent.headers["x-content-type-options"] == "nosniff"
                assert sent.headers["content-security-policy"] == POLICY
        for name in (prefix[1] + "index.html", prefix[1] + "../main.py", "/s/0/app.js", prefix[1] + "none.js"):
            assert client.get(name).status_code == 404
        assert client.get("/healthz").headers["content-security-policy"] == POLICY


def test_the_page_is_small_plain_and_its_own():
    files = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}

    assert sum(len(text.encode()) for text in files.values()) < 110_000
    for name, text in files.items():
        assert len(text.splitlines()) < 400, name
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=", "onclick=", "https://"):
            assert word not in text, (name, word)


@pytest.mark.slow
def test_the_description_of_the_api_is_drawn_under_its_own_policy(watched: Watched, site: Site):
    page = watched.page(site.url + "/docs")

    page.get_by_text("/v1/answers/{answer_id}/feedback").wait_for()
    page.click("#operations-answers-ask_v1_answers_post")
    page.click("text=Try it out")
    page.fill(".body-param textarea", f'{{"question": "{QUESTION}"}}')
    page.click("text=Execute")
    page.wait_for_selector(".responses-table.live-responses-table >> text=365 days")
