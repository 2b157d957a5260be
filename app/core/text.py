"""Text in one house form, the same at indexing and at asking."""

import re
import unicodedata

NORMALISER = "text/1"
"""Part of a document's fingerprint: change it when normalisation changes."""

_NEWLINES = re.compile(r"\r\n?|[\u2028\u2029\x0b\x0c\x85]")
_NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f\ufeff\ufffe\uffff\ud800-\udfff]")
# Characters that show nothing: format controls, and the fillers and blanks that Unicode calls letters or symbols.
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")


def normalise(text: str) -> str:
    """Return ``text`` as NFC with LF line ends, without characters that no text has (controls, lone surrogates)."""
    return unicodedata.normalize("NFC", _NOT_TEXT.sub("", _NEWLINES.sub("\n", text)))


def fold(text: str) -> str:
    """Return ``text`` with every run of white space as one space, for comparing."""
    return " ".join(text.split())


def visible(text: str) -> bool:
    """Whether anything of ``text`` would be seen on paper."""
    return any(
        not char.isspace() and unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Cn", "Co") and char not in _BLANKS
        for char in text
    )
