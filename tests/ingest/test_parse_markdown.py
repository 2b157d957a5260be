"""Markdown: what is text stays, word for word; what is markup goes; hostile pages take no more than linear time."""

import re
import time
from pathlib import Path

import pytest

from app.core.errors import DocumentRefused
from ingest.load import Item
from ingest.parse import Parsed, parse


def read(source: str) -> Parsed:
    found = parse(Item("page.md", "s/page.md", source.encode(), ".md"))
    for heading in found.headings:
        assert found.text[heading.start : heading.start + len(heading.title)] == heading.title
    return found


def test_a_wrapped_paragraph_is_one_line_and_a_hard_break_is_kept():
    assert read("A sentence that an\neditor wrapped. Two.\n\n- an item\n  wrapped\n\nroses  \nviolets").text == (
        "A sentence that an editor wrapped. Two.\n\n- an item wrapped\n\nroses\nviolets"
    )


@pytest.mark.parametrize(
    "prose",
    [
        "Put it in the `<head>` of the page. These words matter. Close it before `</head>`.",
        "Write `<!-- more -->` to cut the summary, then go on `-->` here.",
        "Between `<script>` and `</script>` stands your code.",
        "You can\nexport default settings to a file.",
        "export let me say this first.",
        "import duties are due.",
    ],
)
def test_prose_about_markup_is_no_markup(prose: str):
    """Three pages of a public corpus once lost their instructions between a <head> and a </head> in code spans."""
    assert read(f"<Box />\n\n{prose}\n").text == " ".join(prose.replace("`", "").split())


def test_head_in_prose_without_ticks_hides_nothing():
    assert "These words matter." in read("Put it in the <head> of the page. These words matter. Before </head>.").text


def test_code_stays_as_it_is_wherever_it_stands():
    source = (
        "Text\n\n    vector<Type> x;\n    <Kept />\n\n- item\n\n  ```jsx\n  <Kept a={'b'} />\n  ```\n\n> ```\n> {\"a\"}\n> ```\n"
        "\n~~~\nimport x from 'y'\n:::tip\n[!NOTE]\n~~~\n"
    )

    text = read(source).text

    for code in ("vector<Type> x;\n<Kept />", "<Kept a={'b'} />", '{"a"}', "import x from 'y'\n:::tip\n[!NOTE]"):
        assert code in text


def test_a_page_that_shows_components_in_a_fence_is_plain_markdown():
    assert "a<T> b;" in read("Use it:\n\n```\n<Box />\n```\n\n    a<T> b;\n").text


def test_modules_of_several_lines_and_indented_components_leave_only_text():
    found = read(
        "import {\n  A,\n  B,\n} from '@site/x'\nexport const toc = [\n  {a: 1},\n]\n\n<Tabs>\n    <Tab a={{b: 1}}>\n\n      Inside.\n\n    </Tab>\n"
        "</Tabs>\n\n{/* a\nremark */}\n\nEnd.\n"
    )

    assert found.text == "Inside.\n\nEnd."


def test_scripts_and_heads_are_dropped_with_their_blank_lines():
    found = read(
        "<head>\n<script>\nvar a;\n\nvar b;\n</script>\n</head>\n\n<div>\n<style>\n\n.x {}\n\n</style>\n</div>\n\nText <!-- no\n\nno --> here."
    )

    assert found.text.split() == ["Text", "here."]


def test_notes_lose_their_marks_and_keep_their_titles():
    assert read("> [!WARNING]\n> Hot.\n\n:::tip[Good to know]\nCold.\n:::\n\n:::note\nMild.\n:::").text == (
        "Hot.\n\nGood to know\n\nCold.\n\nMild."
    )


@pytest.mark.parametrize(
    ("front", "title", "metadata"),
    [
        ("title: Cells: a guide\ndate: x", "Cells: a guide", {}),  # a common slip, no YAML
        ("title: Cells\ndate: 2024-02-30", "Cells", {}),  # looks like a date, is none
        ("title: Cells\nn: .nan\nd: 2024-02-03\nempty:\ndeep: {a: 1}", "Cells", {"n": "nan", "d": "2024-02-03"}),
        ("title: Cells\na: &a [x]\nb: [*a, *a]", "Cells", {}),  # aliases can grow without end
        ("tags: [a, 1]", "page", {"tags": ["a", 1]}),
        ("", "page", {}),
    ],
)
def test_front_matter_is_never_text_whatever_is_wrong_with_it(front: str, title: str, metadata: dict):
    found = read(f"---\n{front}\n---\nBody\n")

    assert (found.text, found.title, found.metadata) == ("Body", title, metadata)


def test_toml_front_matter_is_read():
    found = read('+++\ntitle = "Cells"\ndraft = true\n+++\nBody')

    assert (found.text, found.title, found.metadata) == ("Body", "Cells", {"draft": True})


def test_two_rules_around_a_paragraph_are_no_front_matter():
    assert read("---\nNote: read this: carefully.\nIt goes on.\n---\nBody").text.startswith("Note: read this: carefully.")


def test_a_name_with_a_number_sign_is_a_title():
    assert parse(Item("C# notes.md", "s/C# notes.md", b"Text", ".md")).title == "C# notes"


@pytest.mark.parametrize("part", ["`a``b", "<!--", "{/*", "<a ", "<A a={{", "\n<script>", "<A b ", '{"', "\n\nimport {\na"])
def test_no_markup_takes_quadratic_time(part: str):
    began = time.perf_counter()

    parse_or_refuse(part * (60_000 // len(part)))

    assert time.perf_counter() - began < 20  # each is done in about one second; one that looks ahead each time, in minutes


def parse_or_refuse(source: str) -> None:
    try:
        read(source)
    except DocumentRefused as refused:
        if refused.reason != "no_text":
            raise


def test_public_product_documentation_keeps_what_a_reader_is_told_to_do(shared_data: Path):
    folder = shared_data / "docs-plausible"
    pages = [path for path in folder.rglob("*.md") if path.name not in ("README.md", "LICENSE.md")]
    texts = {path.stem: read(path.read_text(encoding="utf-8")).text for path in pages}

    assert len(pages) == 132
    assert "Place the tracking script within the <head> … </head> tags." in texts["script-update-guide"]
    for name, text in texts.items():
        # A line of JavaScript in a code block stays; a module line of the page does not.
        assert not re.search(
            r"^(?:---|:::.*)$|<CtaBox|application/ld\+json|^import \w+ from '@(?:site|docusaurus|theme)", text, re.MULTILINE
        ), name
