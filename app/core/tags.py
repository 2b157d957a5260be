"""The tags between which a prompt shows its values, and their escaping: what is inside is data, never a tag."""

import re

_NAMES = "passage|question|abstain"
_ESCAPE = re.compile(rf"(?:<|&(?:amp;)*lt;)(?=/?(?:{_NAMES})\b)", re.IGNORECASE)
_UNESCAPE = re.compile(rf"&(?:amp;)*lt;(?=/?(?:{_NAMES})\b)", re.IGNORECASE)


def escape(text: str) -> str:
    """Return ``text`` with our own tags made harmless; ``unescape`` gives it back exactly."""
    return _ESCAPE.sub(lambda found: "&lt;" if found[0] == "<" else "&amp;" + found[0][1:], text)


def unescape(text: str) -> str:
    """Undo ``escape``."""
    return _UNESCAPE.sub(lambda found: "<" if found[0] == "&lt;" else "&" + found[0][5:], text)
