"""A question and the turns before it -> a text that can be searched with alone."""

import re
from collections.abc import Sequence

from app.core.types import Message
from app.core.words import words

IDENTITY = "condense/1"
"""Part of the release."""

_TURNS = 2
"""Earlier questions that are looked at, at most."""
_CHARS = 200
"""Characters of them that are added: more would drown the question in its vector."""
_SEEN = 1_000
"""Characters of a turn that are read: whoever writes more says what it is about before."""
_FEW = 3
"""Words of its own up to which an opener ("And in Berlin?") makes a question lean."""
_LONG = 6
"""A question with more words of its own than this says what it is about, pronoun or not."""

_EMPTY = frozenset(
    "a about after again all also am an and another any anything are as at be been before best better both but by came can common "
    "could currently describe detail details did difference different do does else even exactly example examples explain find "
    "first for former from further general get give go good great had happen happened happens has have he help her here hers him "
    "his how i idea if important in interested into is it its itself just kind know latter let like list ll look main major make "
    "many may me mean meant might more most much must my need neither no not now of ok okay on one ones only or other others our "
    "over please question re really said same say see she should show so some something sorry specific still such take tell than "
    "thank thanks that the their theirs them then there these they thing things think this those to too type types understand us "
    "use used using very want was way ways we were what when where which who whom whose why will with work would ve yes you your".split()
)
_PERSONAL = frozenset("he her hers him his it its itself she their theirs them they".split())
_POINTING = frozenset("these this those".split())
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_EXPLETIVE = re.compile(
    r"\bit(?:['’]s)?\s+(?:(?:is|was|be|been|also|still|so|not|more|less|\w+ly)\s+){0,3}(?:possible|impossible|true|likely|unlikely|"
    r"necessary|important|crucial|recommended|worth|better|best|safer?|hard|harder|difficult|easy|easier|common|normal|legal|"
    r"ok|okay|(?:means?|takes?)\s+(?:for|if|that|to|when))\b",
    re.IGNORECASE,
)
"""An "it" that points nowhere: "is it possible", "how long does it take"."""
_OPENER = re.compile(
    r"\W*(?:(?:and|but|so|then|also|ok(?:ay)?|yes|no|oh|or|well|sorry|thanks|i mean|i meant|(?:what|how) about)\b|why(?: not)?\W*$)",
    re.IGNORECASE,
)
_DEFINITION = re.compile(
    r"\W*(?:(?:what|who)(?:['’]s| is| are| was| were)|define|explain|describe)\s+(?:an?\s+|the\s+)?\S+(?:\s[?.!])?\s*$",
    re.IGNORECASE,
)
"""One word is enough to ask what it means."""


def condense(question: str, messages: Sequence[Message]) -> str:
    """Return what to search for: the question, and after it the earlier ones that it leans on.

    A question leans on others when it begins with a pronoun that nothing in it explains, when it has no words of its own
    ("How many?") or few after an opener ("And in Berlin?"). Then the user's previous question is added, and if that leans too,
    the one before it. Behind the question and not before it: the embedder gives the beginning more weight.
    A question that stands alone comes back as it is. The rules know English; elsewhere they hold back.

    Earlier answers are left out: with them, fewer of the right passages were found. Mixing vectors and scores of the two
    texts did no better than the text (docs/decisions/0013-retrieval.md).

    Args:
        question: The last turn.
        messages: The turns before it, oldest first; the user's count.
    """
    if not _leans(question):
        return question
    context: list[str] = []
    for turn in reversed([message.content for message in messages if message.role == "user"][-_TURNS:]):
        context.append(turn)
        if not _leans(turn):
            break
    return f"{question} {' '.join(' '.join(context).split())[:_CHARS]}".rstrip() if context else question


def _leans(turn: str) -> bool:
    question = turn[:_SEEN]
    own = len(_own(question))
    if own == 1 and _DEFINITION.match(question):
        return False
    return own <= 1 or (own <= _FEW and _OPENER.match(question) is not None) or (own <= _LONG and _points(question))


def _own(text: str) -> set[str]:
    """Return the stems of what a text is about."""
    found = [word for word in _WORD.findall(text) if word.casefold() not in _EMPTY and (len(word) > 1 or not word.islower())]
    return {stem for word in found for stem in words(word)}


def _points(question: str) -> bool:
    """Whether a pronoun stands before what it could mean; "this" may have one word before it ("Where does a key of this kind")."""
    idle = {match.start() for match in _EXPLETIVE.finditer(question)}
    for match in _WORD.finditer(question):
        word = re.split("['’]", match[0].casefold())[0]
        personal = word in _PERSONAL and match.start() not in idle
        if personal or word in _POINTING:
            return len(_own(question[: match.start()])) <= (0 if personal else 1)
    return False
