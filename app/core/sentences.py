"""Text -> units: sentences, list items, table rows, code fences. One set of rules for chunks, passages and streamed answers.

    text ── _end ──▶ one cut after the other ──▶ spans: exact ranges, without white space around them
    pieces ─ _end ─▶ the same cuts, each made once no further text can change it ──▶ Segmenter: units that concatenate to the text

``_end`` looks ahead and answers ``None`` while it has seen too little, so where a stream is cut can't matter.
"""

import re
from collections.abc import Iterator

IDENTITY = "sentences/2"
"""Part of the release: change it when the same text would be cut elsewhere."""

MOST_WORDS = 100
"""A longer run without a stop (a table flattened to one line) is cut by length."""

_MOST_CHARS = 1200
"""The same for runs without spaces; also as far as we look for the second backtick of a pair."""

_EVENT = re.compile(r"\n|```|`|[.!?…؟۔।॥]+(?:[^\S\n][.!?…]+)*|[。！？｡]+")
_CJK = frozenset("。！？｡")
_CLOSERS = re.compile(r"[\"'”’»)\]}*_」』）】》]*")
_LOOSE_CLOSER = re.compile(r"[^\S\n]+(''|[”’»)\]}]+|\")(?=\s|\Z)")
_MARK = r"\[\d{1,3}(?:\s?[,;–—-]\s?\d{1,3})*\]"
_MARKERS = re.compile(rf"(?:,?[^\S\n]*{_MARK})+[.!?。]?(?![^\s\[])|(?:[^\S\n]*{_MARK})+")
_MARKER_LINE = re.compile(rf"\s*\n\s*{_MARK}(?:,?[^\S\n]*{_MARK})*[.]?[^\S\n]*(?=\n|\Z)")
_MAYBE_MARKER = re.compile(r"\s*,?\s*(?:\[[\d\s,;–—-]*\]?[\s.,\[]*)*\Z")
_NEXT = re.compile(r"[^\S\n]*(\S+)(\s?)")
_LAST_WORD = re.compile(r"[^\s(\[{\"'“‘«—–/]*\Z")
_OPENERS = "\"'“‘«([{`*_¿¡「『（【《<"
_ITEM = re.compile(r"(?:[-*+•◦‣–]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])\s")
_NUMBER_FIRST = re.compile(r"[-*+•\s]*\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})\s?\Z")
_NUMBERED = re.compile(r"\b(?:step|part|chapter|figure|table|section|article|rule|phase|level|appendix)\s\d+\Z", re.IGNORECASE)
_INITIAL = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]\Z")

# These never end a sentence: a name, a number or an example follows.
_BEFORE_MORE = frozenset(
    "mr mrs ms dr prof st ste sen rep gov gen col lt sgt capt cmdr maj adm rev hon fr pres supt messrs mme mlle vs "
    "e.g i.e cf viz al ca approx mt ft esp incl resp z.b bzw".split()
)
# These are abbreviations only before a number.
_BEFORE_NUMBER = frozenset(
    "no nos nr vol vols p pp pg fig figs eq eqs ch sec sect art ed eds jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
# These may end a sentence: they do when the next word is one that opens sentences.
_EITHER = frozenset(
    "inc ltd co corp bros jr sr etc a.m p.m u.s u.k u.n e.u ph.d b.c a.d d.c dept est ave blvd rd assn univ".split()
)
_STARTERS = frozenset(
    "the he she it they we you i in on at this that these those there their his her its our as after before when "
    "while if although however but and for from with by during since because some many most all each every no not one "
    "two what who how why where which additionally according then thus also to".split()
)


def spans(text: str) -> list[tuple[int, int]]:
    """Return the ranges of the units of ``text``, in order, none overlapping, without the white space around them.

    A unit is a sentence with its markers, a line without a stop (a heading, a table row, a list item) or a code fence.
    """
    return [(start, end) for start, end in _cuts(text) if start < end]


class Segmenter:
    """Cuts a streamed answer into units that may be checked and sent one by one.

    A unit is a sentence with its markers, a list item, a table (adjacent rows together) or a code fence. The units are
    the same however the text is cut into pieces, and concatenated they are the text: white space before a unit belongs
    to it, white space at the end of the text to the last unit. A unit leaves once the next one has visibly begun.
    """

    def __init__(self) -> None:
        self._text = ""
        """What has not left yet."""
        self._group: tuple[int, int] | None = None
        """The cut part of ``_text`` that may still grow: a table, an item of several sentences."""
        self._at = 0
        """Where in ``_text`` the search goes on."""

    def feed(self, piece: str) -> list[str]:
        """Take the next piece of the text; return the units that it completes."""
        self._text += piece
        return self._take(final=False)

    def finish(self) -> list[str]:
        """Return the units that are left; the segmenter is then empty."""
        units = self._take(final=True)
        if self._text:  # the last unit, with the white space behind it, or a text that is only white space
            units.append(self._text)
        self._text, self._group, self._at = "", None, 0
        return units

    def _take(self, *, final: bool) -> list[str]:
        text, units, sent = self._text, [], 0
        while True:
            start = _skip(text, self._at)
            end = _end(text, start, final=final) if start < len(text) else None
            if end is None or _skip(text, end) == len(text):  # the last unit stays: white space behind it is its own
                break
            if self._group and not _together(text, self._group, start, end):
                units.append(text[sent : self._group[1]])
                sent, self._group = self._group[1], None
            self._group = (self._group[0], end) if self._group else (start, end)
            self._at = end
            if not _may_grow(text, self._group):
                units.append(text[sent:end])
                sent, self._group = end, None
        if final and self._group and start < len(text):  # the last unit may belong to what is held
            last = len(text.rstrip())
            if not _together(text, self._group, start, last):
                units.append(text[sent : self._group[1]])
                sent = self._group[1]
        self._text, self._at = text[sent:], self._at - sent
        self._group = (self._group[0] - sent, self._group[1] - sent) if self._group else None
        return units


def _cuts(text: str) -> Iterator[tuple[int, int]]:
    start = _skip(text, 0)
    while start < len(text):
        end = _end(text, start, final=True)
        if end is None:  # can't be: the text is whole
            raise AssertionError("a final cut is always decided")
        yield start, end
        start = _skip(text, end)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _may_grow(text: str, group: tuple[int, int]) -> bool:
    """Whether the unit behind ``group``, which has begun, could belong to it."""
    start, end = group
    gap = text[end : _skip(text, end)]
    if _is_row(text[start:end]):
        return gap.count("\n") == 1
    return "\n" not in gap and _ITEM.match(text, start) is not None


def _together(text: str, group: tuple[int, int], start: int, end: int) -> bool:
    if _is_row(text[group[0] : group[1]]):
        return _is_row(text[start:end])
    return True  # `_may_grow` let only an item wait, and only for its own line


def _is_row(unit: str) -> bool:
    return " | " in unit or unit.startswith("|")


def _end(text: str, start: int, *, final: bool) -> int | None:
    """Return where the unit that begins at ``start`` ends, or None while more text could change that.

    What it returns with ``final=False`` it returns for every longer text too; with ``final=True`` it always decides.
    """
    at, limit = start, _limit(text, start)
    while True:
        event = _EVENT.search(text, at)
        where = event.start() if event else len(text)
        if limit is not None and limit[0] <= where:  # every stop before it was looked at, so the order is that of the text
            return _with_markers(text, limit[1], final=final)
        if event is None:
            return len(text.rstrip()) if final else None
        found, at = event[0], event.end()
        if at == len(text) and not final:  # the stop, or the run of backticks, may go on
            return None
        if found == "\n":
            return _with_markers(text, len(text[start:where].rstrip()) + start, final=final)
        if found[0] == "`":
            closed = _close(text, where, found, final=final)
            if closed is None:
                return None
            if closed > at:
                at = closed
                limit = _limit(text, closed) if limit is not None and limit[0] < closed else limit
        else:
            end = _stop(text, start, where, at, final=final)
            if end is None or end > 0:
                return end


def _limit(text: str, start: int) -> tuple[int, int] | None:
    """Return where a run without a stop becomes too long, and where to cut it then; None while it is short enough."""
    line = text.find("\n", start, start + _MOST_CHARS + 1)
    stop = line if line >= 0 else min(len(text), start + _MOST_CHARS + 1)
    for words, word in enumerate(re.finditer(r"\S+", text[start:stop])):
        if words == MOST_WORDS:
            long = start + word.start()
            return long, _outside_brackets(text, start, _softly(text, start, long))
    if line < 0 and stop - start > _MOST_CHARS:
        space = text.rfind(" ", start, stop)
        return stop - 1, _outside_brackets(text, start, space if space > start else stop - 1)
    return None


def _softly(text: str, start: int, hard: int) -> int:
    """Return the last comma or semicolon of the second half, where there is one."""
    soft = max(text.rfind(mark, start, hard) for mark in (", ", "; ", " , ", " ; "))
    return soft + 2 if soft > start + (hard - start) // 2 else len(text[start:hard].rstrip()) + start


def _outside_brackets(text: str, start: int, cut: int) -> int:
    """Return a cut that splits no marker."""
    opening = text.rfind("[", max(start, cut - 20), cut)
    inside = opening > start and re.fullmatch(r"\[[\d\s,;–—-]*", text[opening:cut])
    cut = opening if inside else cut
    return len(text[start:cut].rstrip()) + start


def _close(text: str, where: int, ticks: str, *, final: bool) -> int | None:
    """Return the end of the code that opens at ``where``; the end of the ticks when nothing closes it, so they are plain text."""
    behind = where + len(ticks)
    if ticks == "```":
        closing = text.find("```", behind)
        if closing < 0:
            return behind if final else None
        return closing + 3
    if text[behind : behind + 1] == "`":  # tokenised text opens quotations with ``
        return behind + 1
    closing = text.find("`", behind, behind + _MOST_CHARS)
    line = text.find("\n", behind, behind + _MOST_CHARS)
    if closing >= 0 and (line < 0 or closing < line):
        return closing + 1
    return behind if final or line >= 0 or len(text) >= behind + _MOST_CHARS else None


def _with_markers(text: str, end: int, *, final: bool) -> int | None:
    """Return the end of the markers that stand behind ``end`` on the same line, or alone on the next."""
    if not final and _MAYBE_MARKER.match(text, end):
        return None
    found = _MARKERS.match(text, end) or _MARKER_LINE.match(text, end)
    return found.end() if found else end


def _stop(text: str, start: int, where: int, behind: int, *, final: bool) -> int | None:
    """Return the end of the unit if the stop at ``where:behind`` ends it, 0 if it doesn't, None if it can't be known yet."""
    if _is_row(text[start:where]):
        return 0
    stop, closers = text[where:behind], _CLOSERS.match(text, behind)
    end = closers.end() if closers else behind
    if end == len(text):
        return end if final else None
    while stop[0] not in _CJK and (loose := _LOOSE_CLOSER.match(text, end)):
        if loose.end() == len(text) and not final:
            return None
        if loose[1] == '"' and text.count('"', start, where) % 2 == 0:
            break  # it opens the next sentence
        end = loose.end()
    marked = _with_markers(text, end, final=final)
    if marked is None:
        return None
    before = _LAST_WORD.search(text, max(start, where - 40), where)
    word = before[0] if before else ""
    if stop[0] in _CJK:
        return marked
    following = _NEXT.match(text, marked)
    if following is None:  # the line ends here
        return marked
    if not final and not following[2]:  # the next word may go on
        return None
    if marked == end and following.start(1) == end:  # "3.5", "v1.2", "example.com": no space behind it
        return 0
    if stop == "." and _abbreviates(text, start, where, word, following[1]):
        return 0
    return marked if marked > end or _opens(stop, where > start and text[where - 1].isspace(), following[1]) else 0


def _abbreviates(text: str, start: int, where: int, word: str, following: str) -> bool:
    """Whether the full stop behind ``word`` belongs to the word."""
    if where > start and text[where - 1].isspace():  # "word . Next": tokenised text keeps the stop of an abbreviation on it
        return _NUMBER_FIRST.fullmatch(text, start, where) is not None and where - start < 5
    if _NUMBER_FIRST.fullmatch(text, start, where) or _NUMBERED.search(text[max(start, where - 20) : where]):
        return True  # "7. Title", "Step 2. Press"
    plain, bare = word.lower(), following.lstrip(_OPENERS)
    if plain in _BEFORE_MORE:
        return True
    if plain in _BEFORE_NUMBER:
        return bare[:1].isdigit()
    if plain in _EITHER or (_INITIAL.fullmatch(word) and word[-1].isupper()):
        return bare.lower().rstrip(",'’s") not in _STARTERS or not bare[:1].isupper()
    return False


def _opens(stop: str, loose: bool, following: str) -> bool:
    """Whether a sentence can begin with ``following``."""
    if stop == "." and loose:
        return True
    bare = following.lstrip(_OPENERS)
    if not bare:  # a lone opener: "`` The", "( 1775"
        return following[0] not in "([" or stop == "."
    first = bare[0]
    if following[0] in "([" and first.isdigit():  # "Yahoo! (2005)"
        return False
    return not first.islower() and first not in ",;:-–—&=+%/)]}|"
