"""robots.txt -> which pages a program may read (RFC 9309).

The standard library's reader takes the first rule that fits instead of the longest, and knows no ``*`` or ``$``.
"""

import re
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from ingest.fetch.urls import unescape

_NAME = "citewell"
_MOST = 500 * 1024
"""Bytes that are looked at; the standard asks for at least as many."""
_LINE = re.compile(r"\s*(user-agent|allow|disallow)\s*:\s*([^#\r\n]*)", re.IGNORECASE)
_ASCII = "".join(map(chr, range(33, 127)))


def allows(text: bytes) -> Callable[[str], bool]:
    """Return a function that tells of a canonical address whether the file lets us read it."""
    ours: list[tuple[str, bool]] = []
    others: list[tuple[str, bool]] = []
    named = False
    groups: list[list[tuple[str, bool]]] = []
    in_names = False
    for line in text[:_MOST].decode("utf-8", "replace").removeprefix("\ufeff").splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        key, value = match[1].lower(), match[2].strip()
        if key == "user-agent":
            groups = groups if in_names else []
            in_names = True
            if value == "*":
                groups.append(others)
            elif value.lower().partition("/")[0] == _NAME:
                named = True
                groups.append(ours)
            continue
        in_names = False
        if value:
            for group in groups:
                group.append((_canonical(value), key == "allow"))
    rules = ours if named else others

    def may_read(url: str) -> bool:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        # The longest rule counts; of two equal ones the one that allows.
        fitting = [(len(rule), allow) for rule, allow in rules if _fits(rule, target)]
        return max(fitting, default=(0, True))[1]

    return may_read


def _canonical(rule: str) -> str:
    """Write a rule as canonical addresses are written, so that the two can be compared."""
    return unescape(quote(rule, safe=_ASCII))


def _fits(rule: str, target: str) -> bool:
    """Match ``*`` and a last ``$``, piece by piece: a regular expression could be made to take for ever."""
    ends = rule.endswith("$")
    first, *rest = rule.removesuffix("$").split("*")
    if not target.startswith(first):
        return False
    at = len(first)
    for number, piece in enumerate(rest, start=1):
        if ends and number == len(rest):
            return target.endswith(piece) and len(target) - len(piece) >= at
        found = target.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return not ends or at == len(target)
