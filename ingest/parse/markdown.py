"""Markdown (CommonMark, tables, front matter; MDX read for its text) -> blocks."""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.core.errors import DocumentRefused
from ingest.parse import html
from ingest.parse.blocks import Block, Text
from ingest.parse.plain import decode, is_binary

_FRONT = re.compile(r"\A(?:---|\+\+\+)[ \t]*\n(.*?\n)??(?:---|\+\+\+)[ \t]*(?:\n|\Z)", re.DOTALL)
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)")
_MODULE = re.compile(
    r"^(?:import\s+(?:[\w*{][^;]*?\s+from\s+)?['\"][^'\"]+['\"];?|export\s+(?:const|default|function|let)\b.*)\s*$"
)
_ADMONITION = re.compile(r"^[ \t]*:::+[ \t]*(?:[\w-]+)?[ \t]*(?:\[([^\]]*)\]|([^\n]*))$")
_VALUE = r"(?:\"[^\"]*\"|'[^']*'|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}|[^\s>\"'{]+)"
_INLINE = re.compile(
    rf"(?P<tag></?(?P<name>[A-Za-z][\w.:-]*)(?P<attributes>(?:\s+(?:[\w:@-]+(?:\s*=\s*{_VALUE})?|\{{[^}}]*\}}))*)\s*/?>|</?>)"
    r"|(?P<code>(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))"
    r"|(?P<expression>\{\s*/\*.*?\*/\s*\}|\{`(?P<template>[^`]*)`\}|\{\s*[\"'](?P<quoted>[^\"']*)[\"']\s*\})",
    re.DOTALL,
)
"""Whatever begins first wins: a component may hold backticks, a code span may hold tags."""
_HEAD = re.compile(r"<head>.*?</head>", re.DOTALL | re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
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
    tokens = MarkdownIt("commonmark").enable("table").enable("strikethrough").parse(_plain_markdown(source))
    found = Text(list(_blocks(tokens)), str(title) if isinstance(title, str | int | float) else "", front)
    if not any(block.text.strip() for block in found.blocks):
        raise DocumentRefused("no_text", "The page holds nothing but its front matter or markup.")
    return found


def _front_matter(source: str) -> tuple[dict[str, Any], str]:
    match = _FRONT.match(source)
    if not match:
        return {}, source
    try:
        values = yaml.safe_load(match[1] or "") or {}
    except yaml.YAMLError:
        return {}, source[match.end() :]  # a broken head is still no text of the page
    if not isinstance(values, dict):
        return {}, source  # two rules around a paragraph, no front matter
    plain = (str, int, float, bool)
    kept = {
        str(name): value
        if isinstance(value, plain) or (isinstance(value, list) and all(isinstance(v, plain) for v in value))
        else str(value)
        for name, value in values.items()
        if value is not None
    }
    return kept, source[match.end() :]


def _plain_markdown(source: str) -> str:
    """Take MDX out, outside of code: modules, components, expressions, admonition marks; their text stays."""
    out: list[str] = []
    text: list[str] = []
    fence = ""
    for line in source.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            out.append(line)
            if mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif mark:
            out += _without_jsx("\n".join(text)).split("\n")
            text = []
            out.append(line)
            fence = mark[1]
        elif _MODULE.match(line):
            continue
        elif admonition := _ADMONITION.match(line):
            text += ["", (admonition[1] or admonition[2] or "").strip(), ""]
        else:
            text.append(line)
    out += _without_jsx("\n".join(text)).split("\n")
    return "\n".join(out)


def _without_jsx(text: str) -> str:
    return _INLINE.sub(_kept, _COMMENT.sub("", _HEAD.sub("", text)))


def _kept(found: re.Match[str]) -> str:
    """Return what stays of a code span (all), a tag (HTML's own) or an expression (its text)."""
    if found["code"]:
        return found["code"]
    if found["tag"]:
        return found["tag"] if found["name"] and found["name"] in _HTML and "{" not in (found["attributes"] or "") else ""
    return found["template"] or found["quoted"] or ""


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
            case "softbreak" | "hardbreak":
                parts.append("\n")
            case "image":
                parts.append(_inline(token.children or []))
            case "html_inline" if re.match(r"<br\b", token.content, re.IGNORECASE):
                parts.append("\n")
    return "".join(parts).strip()
