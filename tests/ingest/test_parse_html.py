"""HTML: the page's own text in reading order, whatever its markup is worth."""

import json
from pathlib import Path

import pytest

from app.core.errors import DocumentRefused
from ingest.load import Item
from ingest.parse import Parsed, parse, sniff


def read(body: str, *, head: str = "") -> Parsed:
    return parse(Item("page.html", "s/page.html", f"<html><head>{head}</head><body>{body}</body></html>".encode(), ".html"))


def test_a_form_around_a_whole_page_hides_nothing_but_its_fields():
    assert read(
        "<form><p>Ask at <b>noon</b>.</p><select><option>x</select><button>Send</button><textarea>t</textarea></form>"
    ).text == ("Ask at noon.")


def test_a_site_s_header_goes_and_an_article_s_header_stays():
    found = read(
        "<header><h1>The site</h1></header><aside>Ad</aside><main><article><header><h1>The page</h1></header><p>Text.</p>"
        "<aside>A note.</aside></article></main><footer>Feet</footer>"
    )

    assert (found.title, found.text) == ("The page", "The page\n\nText.\n\nA note.")


def test_without_a_main_part_header_and_aside_are_the_page():
    assert read("<header><h1>Plans</h1></header><p>Text.</p><aside>A note.</aside>").text == "Plans\n\nText.\n\nA note."


@pytest.mark.parametrize(
    "gone",
    ["<script>no</script>", "<style>no</style>", "<span hidden>no</span>", "<i aria-hidden='true'>no</i>", "<b style='display: none'>no</b>",
     "<template>no</template>", "<!-- no -->", "<div role='navigation'>no</div>"],
)  # fmt: skip
@pytest.mark.parametrize(
    "around",
    ["<p>a{}b</p>", "<h2>a{}b</h2>", "<pre>a{}b</pre>", "<table><tr><td>a{}b</td></tr></table>", "<ul><li>a{}b</li></ul>"],
)
def test_what_a_browser_does_not_show_is_dropped_everywhere(gone: str, around: str):
    text = read(around.format(gone)).text

    assert "no" not in text
    assert "".join(text.split()).removeprefix("-") == "ab"


def test_lists_keep_their_numbers_and_what_is_wrong_in_them():
    found = read("<ol start=3><li>c<li><p>d</p><p>more</p></ol><ul>loose<ul><li>deep</li></ul><div>also</div></ul>")

    assert found.text == "3. c\n4. d\n\n   more\n\nloose\n  - deep\n\nalso"


def test_a_table_of_data_is_rows_and_a_table_of_layout_is_a_page():
    assert read("<table><caption>Prices</caption><tr><th>Plan<th>EUR<tr><td>One<br>two<td>3</table>").text == (
        "Prices\n\nPlan | EUR\nOne two | 3"
    )
    assert read("<table><tr><td><h2>Plans</h2><p>Free.</p><table><tr><td>a<td>b</table></td></tr></table>").text == (
        "Plans\n\nFree.\n\na | b"
    )


def test_a_heading_loses_its_permalink():
    found = read("<h2>Install<a class='headerlink' href='#install'>¶</a></h2><h2>See <a href='x'>this</a></h2>")

    assert [heading.title for heading in found.headings] == ["Install", "See this"]


def test_inline_marks_leave_no_gaps_in_words():
    assert read("<p>un<b>believ</b>able, <code>x</code>.</p><h2>H<sub>2</sub>O</h2>").text == "unbelievable, x.\n\nH2O"


def test_a_page_known_by_its_content():
    page = b"<?xml version='1.0'?>\n<!-- x -->\n<!DOCTYPE html><html><body>Hi</body></html>"

    assert sniff(page, ".txt") == ".html"
    with pytest.raises(DocumentRefused, match="HTML page"):
        sniff(page, ".pdf")


def test_the_public_pages_hold_what_a_reader_sees_and_nothing_else(shared_data: Path):
    folder = shared_data / "files-mixed"
    rows = [json.loads(line) for line in (folder / "expected.jsonl").read_text().splitlines()]
    wanted = [row for row in rows if row["file"].endswith(".html") and row["expect"] == "text"]
    for row in wanted:
        raw = (folder / row["file"]).read_bytes()
        text = " ".join(parse(Item(row["file"], row["file"], raw, sniff(raw, ".html"))).text.split())
        assert all(" ".join(phrase["text"].split()) in text for phrase in row["phrases"]), row["file"]
        assert not any(gone in text for gone in row["absent"]), row["file"]
    assert any(row["absent"] for row in wanted)
