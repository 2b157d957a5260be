"""Markdown (CommonMark, tables, front matter; MDX read for its text) -> blocks.

source ─ front matter ─▶ body ─ code lines kept aside ─▶ prose without markup ─ CommonMark ─▶ blocks
"""

import math
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.core.errors import DocumentRefused
from ingest.parse import html
from ingest.parse.blocks import Block, Text
from ingest.parse.plain import decode, is_binary

_FRONT = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?\n)??\1[ \t]*(?:\n|\Z)", re.DOTALL)
_MOST_FRONT = 100_000
_KEY_LINE = re.compile(r"(?:[\w.-]+[ \t]*:(?:[ \t]|\Z)|[ \t]|#|-[ \t]|[\]}]|\Z)")
_TITLE_LINE = re.compile(r"^title[ \t]*:[ \t]*(.+?)[ \t]*$", re.MULTILINE)
_IMPORT = re.compile(r"import\s+(?:[\w*{][^;'\"]*?\s+from\s+)?['\"][^'\"]+['\"];?\s*\Z")
_EXPORT = re.compile(
    r"export\s+(?:(?:const|let|var)\s+[\w${[][^=]*=.*|(?:default\s+)?(?:async\s+)?function\b.*\(.*|default\s+(?:[\w.]+;?|[({\[].*)"
    r"|\{[^}]*\}(?:\s*from\s*['\"][^'\"]+['\"])?;?|\*\s+from\s+['\"][^'\"]+['\"];?)\s*\Z",
    re.DOTALL,
)
_MODULE_BEGINS = re.compile(r"(?:import\s+[\w*{'\"]|export\s+(?:const|let|var|default|async|function|[*{]))")
_ADMONITION = re.compile(r"^[ \t]*:::+[ \t]*(?:[\w-]+)?[ \t]*(?:\[([^\]]*)\]|([^\n]*))$")
_ALERT = re.compile(r"^((?:[ \t]*>)+[ \t]*)\[!(?:NOTE|TIP|IMPORTANT|WARNING|CAUTION)\][+-]?[ \t]*(.*)$", re.IGNORECASE)
_IS_MDX = re.compile(
    r"^ {0,3}(?:</?[A-Z][\w.]*(?:[\s/>]|$)|:::)|^(?:import\s.*['\"];?[ \t]*$|import\s*\{[^}]{0,2000}\}\s*from\s|export\s+const\s+\w+\s*=)|\{/\*",
    re.MULTILINE,
)
_VALUE = r"(?:\"[^\"]*\"|'[^']*'|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}|[^\s>\"'{]+)"
_TAG = re.compile(
    rf"</?(?P<name>[A-Za-z][\w.:-]*)(?P<attributes>(?:\s+(?:[\w:@-]+(?:\s*=\s*{_VALUE})?|\{{[^}}]*\}}))*)\s*/?>|</?>"
)
_EXPRESSION = re.compile(r"\{`(?P<template>[^`]{0,5000})`\}|\{\s*(?P<mark>[\"'])(?P<quoted>[^\"'\n]*)(?P=mark)\s*\}")
_REMARK = re.compile(r"\{\s*/\*")
_NO_TEXT = re.compile(r"<(script|style)(?=[\s>])|(?m:^)<(head)>", re.IGNORECASE)
"""``<head>`` only where it begins a line: prose that explains where a snippet goes names it without ticks."""
_INTERESTING = re.compile(r"[`<{]")
_TICKS = re.compile(r"`+")
_PARAGRAPH_ENDS = re.compile(r"\n[ \t]*(?:\n|\Z)")
_HTML = frozenset(
    "a abbr b blockquote br center cite code dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i ins kbd li mark "
    "ol p pre q s samp section small span strong sub summary sup table tbody td tfoot th thead tr u ul".split()
)
_ANCHOR = re.compile(r"\s*\{#[\w-]+\}\s*$")


def parse(raw: bytes) -> Text:
    """Read a Markdown file.

    Raises:
        DocumentRefused: ``binary``, ``undecodable`` or ``no_text``.
    """
    if is_binary(raw):
        raise DocumentRefused("binary", "The file is not text.")
    source = decode(raw).lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    front, source = _front_matter(source)
    title = front.pop("title", "")
    reader = MarkdownIt("commonmark").enable("table").enable("strikethrough")
    tokens = reader.parse(source)
    code = _code_lines(tokens)
    mdx = bool(_IS_MDX.search("\n".join(line for number, line in enumerate(source.split("\n")) if number not in code)))
    if mdx:  # it has no indented code: components and what they hold are indented
        reader.disable("code")
        tokens = reader.parse(source)
        code = _code_lines(tokens)
    plain = _plain_markdown(source, code, mdx=mdx)
    if plain != source:
        tokens = reader.parse(plain)
    found = Text(list(_blocks(tokens)), str(title) if isinstance(title, str | int | float) else "", front)
    if not any(block.text.strip() for block in found.blocks):
        raise DocumentRefused("no_text", "The page holds nothing but its front matter or markup.")
    return found


class _NoAliases(yaml.SafeLoader):
    """YAML without ``*alias``: a page of a few lines could else grow to gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse what stands for something else."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


def _front_matter(source: str) -> tuple[dict[str, Any], str]:
    """Return the front matter's values that a filter can use, and the page behind it."""
    match = _FRONT.match(source)
    if not match or len(match[2] or "") > _MOST_FRONT:
        return {}, source
    head, rest = match[2] or "", source[match.end() :]
    try:
        # The loader is a SafeLoader; ruff knows only the name.
        values = yaml.load(head, _NoAliases) if match[1] == "---" else tomllib.loads(head)  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: 2024-02-30 is no date; TOML's errors are of it too
        if match[1] == "---" and not all(_KEY_LINE.match(line) for line in head.split("\n")):
            return {}, source  # two rules around a paragraph, no front matter
        named = _TITLE_LINE.search(head)  # `title: Cells: a guide` is a common slip, and no reason to lose the title
        return ({"title": named[1].strip("\"'")} if named else {}), rest
    if values is None:
        return {}, rest
    if not isinstance(values, dict):
        return {}, source
    return {str(name): plain for name, value in values.items() if (plain := _plain_value(value)) is not None}, rest


def _plain_value(value: object) -> Any:
    """Return a scalar or a list of scalars as JSON has it; None for anything deeper."""
    if isinstance(value, list):
        plain = [_plain_value(one) for one in value if not isinstance(one, list | dict)]
        return [one for one in plain if one is not None] if len(plain) == len(value) else None
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str | int | float):
        return value
    return None if value is None or isinstance(value, dict | set | tuple | bytes) else str(value)  # dates and times


def _code_lines(tokens: list[Token]) -> set[int]:
    """Return the numbers of the lines that are code, fences included."""
    lines: set[int] = set()
    for token in tokens:
        if token.type in ("fence", "code_block") and token.map:
            lines.update(range(*token.map))
    return lines


def _plain_markdown(source: str, code: set[int], *, mdx: bool) -> str:
    """Take out what is no text, outside of code: modules, components, expressions, admonition marks; their text stays."""
    out: list[str] = []
    text: list[str] = []
    lines = source.split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        if number in code:
            if text:
                out += _without_markup("\n".join(text), mdx=mdx).split("\n")
                text = []
            out.append(line)
        elif mdx and _MODULE_BEGINS.match(line) and not "".join(text[-1:]).strip() and (size := _module(lines, number)):
            number += size
            continue
        elif admonition := _ADMONITION.match(line):
            text += ["", (admonition[1] or admonition[2] or "").strip(), ""]
        elif alert := _ALERT.match(line):
            text.append(alert[1] + alert[2])
        else:
            text.append(line)
        number += 1
    if text:
        out += _without_markup("\n".join(text), mdx=mdx).split("\n")
    return "\n".join(out)


def _module(lines: list[str], first: int) -> int:
    """Return how many lines the ``import`` or ``export`` that begins at ``first`` has; 0 when it is prose after all."""
    last = first
    while last + 1 < len(lines) and lines[last + 1].strip() and last - first < 200:
        if _IMPORT.match("\n".join(lines[first : last + 1])) or _one_line_export(lines[first]):
            break
        last += 1
    whole = "\n".join(lines[first : last + 1])
    return last - first + 1 if _IMPORT.match(whole) or _EXPORT.match(whole) else 0


def _one_line_export(line: str) -> bool:
    """Whether an export opens no bracket that it does not close."""
    return (
        bool(_EXPORT.match(line))
        and all(line.count(a) <= line.count(b) for a, b in ("()", "[]", "{}"))
        and line.count("`") % 2 == 0
    )


def _without_markup(text: str, *, mdx: bool) -> str:
    """Drop remarks, scripts and components. Whatever begins first wins: a component may hold ticks, a code span tags."""
    out: list[str] = []
    closed: dict[str, bool] = {}  # whether a closer is still ahead: looked for once, so that no input takes quadratic time
    at = 0
    while found := _INTERESTING.search(text, at):
        start = found.start()
        out.append(text[at:start])
        end, kept = _markup(text, start, closed, mdx=mdx)
        out.append(kept)
        at = end
    out.append(text[at:])
    return "".join(out)


def _markup(text: str, start: int, closed: dict[str, bool], *, mdx: bool) -> tuple[int, str]:
    """Return the end of the markup that begins at ``start``, and what stays of it."""
    if text[start] == "`":
        ticks = _TICKS.match(text, start)
        assert ticks
        end = _code_span_end(text, ticks)
        return end, text[start:end]
    if text.startswith("<!--", start):
        return _through(text, start, "-->", closed)
    if dropped := _NO_TEXT.match(text, start):
        return _through(text, start, f"</{(dropped[1] or dropped[2]).lower()}>", closed)
    if mdx and _REMARK.match(text, start):
        end, kept = _through(text, start, "*/", closed)
        brace = re.compile(r"\s*\}").match(text, end) if not kept else None
        return (brace.end(), "") if brace else (end, kept)
    if mdx and (expression := _EXPRESSION.match(text, start)):
        return expression.end(), expression["template"] or expression["quoted"] or ""
    if mdx and (tag := _TAG.match(text, start)):
        own = tag["name"] in _HTML and "{" not in (tag["attributes"] or "")
        return tag.end(), tag[0] if own else ""
    return start + 1, text[start]


def _through(text: str, start: int, closer: str, closed: dict[str, bool]) -> tuple[int, str]:
    """Return the end of what runs from ``start`` to ``closer``; when nothing closes it, it is text."""
    if closed.get(closer, True):
        end = re.compile(re.escape(closer), re.IGNORECASE).search(text, start)
        if end:
            return end.end(), ""
        closed[closer] = False
    return start + 1, text[start]


def _code_span_end(text: str, ticks: re.Match[str]) -> int:
    """Return the end of the code span that ``ticks`` open; of the ticks where nothing in the paragraph closes it."""
    stop = _PARAGRAPH_ENDS.search(text, ticks.end())
    for other in _TICKS.finditer(text, ticks.end(), stop.start() if stop else len(text)):
        if other[0] == ticks[0]:
            return other.end()
    return ticks.end()


def _blocks(tokens: list[Token]) -> Iterator[Block]:
    lists: list[int | None] = []  # the number of the last item, None in a bullet list
    marker = ""
    tight = False
    level = 0
    row: list[str] | None = None
    first_row = False
    for token in tokens:
        match token.type:
            case "bullet_list_open" | "ordered_list_open":
                lists.append(None if token.type[0] == "b" else int(token.attrs.get("start", 1)) - 1)
                tight = len(lists) > 1
            case "bullet_list_close" | "ordered_list_close":
                lists.pop()
                tight = bool(lists)
            case "list_item_open":
                last = lists[-1]
                if last is not None:
                    lists[-1] = last + 1
                marker = "  " * (len(lists) - 1) + (f"{lists[-1]}. " if last is not None else "- ")
            case "heading_open":
                level = int(token.tag[1])
            case "heading_close":
                level = 0
            case "table_open":
                first_row = True
            case "tr_open":
                row = []
            case "tr_close" if row is not None:
                yield Block(" | ".join(row), tight=not first_row)
                row, first_row = None, False
            case "inline":
                text = _inline(token.children or [])
                if row is not None:
                    row.append(" ".join(text.split()))
                elif level:
                    yield Block(_ANCHOR.sub("", text), level=level)
                elif lists:
                    indent = "  " * len(lists)
                    yield Block(_item(marker or indent, text, indent), tight=tight and bool(marker))
                    marker, tight = "", True
                else:
                    yield Block(text)
            case "fence" | "code_block":
                yield Block(token.content)
            case "html_block":
                yield from html.fragment(token.content)


def _item(marker: str, text: str, indent: str) -> str:
    return marker + text.replace("\n", "\n" + indent)


def _inline(children: list[Token]) -> str:
    parts: list[str] = []
    for token in children:
        match token.type:
            case "text" | "code_inline":
                parts.append(token.content)
            case "softbreak":  # where an editor wrapped the line; a paragraph is one line, else its sentences would be cut
                parts.append(" ")
            case "hardbreak":
                parts.append("\n")
            case "image":
                parts.append(_inline(token.children or []))
            case "html_inline" if re.match(r"<br\b", token.content, re.IGNORECASE):
                parts.append("\n")
    return "".join(parts).strip()
