"""What the extractive model knows of English: stems, stop words, opposites, and what each kind of question asks for."""

import re
from functools import lru_cache

from app.core.stems import stem


def negated(text: str) -> bool:
    """Whether a text denies something."""
    return _NEGATION.search(text) is not None


@lru_cache(maxsize=10_000)
def opposites(word: str) -> frozenset[str]:
    """Return the stems that mean the contrary of a stem."""
    made = {prefix + word for prefix in _NOT} | {word[len(p) :] for p in _NOT if word.startswith(p) and len(word) - len(p) >= 4}
    return frozenset(made) | _OPPOSITES.get(word, frozenset())


def stems_of(text: str) -> frozenset[str]:
    """Return the stems of a text's words."""
    return frozenset(stem(word) for word in re.findall(r"\w+", text.lower()))


KINDS = {
    "number": r"\bhow (?:many|much|long|old|far|tall|often|large|big|high|deep|fast|wide|few|heavy)\b|\b(?:number|population) of\b|"
    r"\bwhat (?:percent|percentage|amount|number)\b",
    "when": r"\bwhen\b|\b(?:what|which) (?:year|date|month|day|century|decade|time)\b",
    "who": r"\b(?:who|whom|whose)\b",
    "where": r"\bwhere\b|\b(?:what|which) (?:city|country|state|place|region|continent|town|county|location|province)\b",
    "why": r"\bwhy\b|\bwhat (?:(?:was|is|are) the )?(?:reason|cause)",
}
WHEN = re.compile(
    r"\b(?:1\d{3}s?|20\d\ds?|\d{3}|january|february|march|april|may|june|july|august|september|october|november|december|century|"
    r"daily|weekly|monthly|age|days?|hours?|spring|summer|autumn|winter)\b"
)
NUMBER = re.compile(
    r"\b(?:\w*\d\w*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|thousand|"
    r"million|billion|dozen|half|once|twice|both|several)\b"
)
NAME = re.compile(r"(?<![.!?] )(?<!^)\b[A-Z][\w'-]+")
CAUSE = re.compile(
    r"\bbecause|\bdue to|\bin order to|\bso that|\bcaus|\breason|\bsince\b|\bas a result|\btherefore|\bresult|\bled to\b|\bowing|"
    r"\bto (?:avoid|prevent|protect|make|allow|ensure|help|give|provide)",
    re.IGNORECASE,
)
POINTER = re.compile(
    r"(?:[-*•]\s+)?(?:(?:(?:please |also )?(?:see|refer to|read (?:more|about|our)|learn (?:more|how|about)|find out (?:more|how)|check out|"
    r"more (?:info\w*|details)|here['’]s how)\b(?:\s+\S+){0,12}$)|for (?:more|further|additional)\b.*\b(?:see|refer|read|visit|check|consult)\b|:::|!!!|> \[!)",
    re.IGNORECASE,
)
"""It only points elsewhere ("See Change your plan."), or opens an admonition."""
PRONOUN = re.compile(r"(?:He|She|It|They|This|These|That|Those|However|His|Her|Its|Their)\b")
_NEGATION = re.compile(
    r"\b(?:(?<!but )(?<!or )not(?! only)|no|never|none|neither|nor|without|cannot|nobody|nothing|unable|unlike|except|exclud\w+|only|lack\w*|fail\w*)\b|n ?['’]t\b",
    re.IGNORECASE,
)
_NOT = ("un", "in", "im", "non", "dis", "ir", "il")
_PAIRS = (
    "good bad|best worst|better worse|more less|most least|more fewer|high low|highest lowest|higher lower|large small|largest smallest|"
    "larger smaller|big small|long short|longest shortest|longer shorter|old new|oldest newest|older younger|old young|oldest youngest|"
    "early late|earliest latest|earlier later|first last|first second|first third|second third|before after|previous next|former latter|"
    "begin end|start end|start stop|begin stop|start finish|open close|increase decrease|increase reduce|rise fall|raise lower|"
    "grow shrink|gain lose|win lose|won lost|victory defeat|succeed fail|success failure|accept reject|accept refuse|allow forbid|"
    "allow prohibit|allow prevent|allow ban|permit forbid|enable disable|support oppose|love hate|hot cold|warm cool|wet dry|heat cool|"
    "hard soft|hard easy|difficult easy|strong weak|strengthen weaken|heavy light|dark light|fast slow|quick slow|rich poor|"
    "wealth poverty|cheap expensive|male female|man woman|men women|boy girl|son daughter|father mother|brother sister|husband wife|"
    "king queen|north south|east west|northern southern|eastern western|left right|top bottom|upper lower|above below|inside outside|"
    "internal external|import export|buy sell|lend borrow|give take|send receive|push pull|arrive leave|enter exit|enter leave|"
    "join leave|appear disappear|remember forget|create destroy|build destroy|add remove|add delete|include exclude|public private|"
    "rural urban|civil military|domestic foreign|native foreign|ancient modern|common rare|always never|often rarely|often seldom|"
    "all none|every no|major minor|majority minority|maximum minimum|positive negative|active passive|alive dead|life death|birth death|"
    "born died|live die|friend enemy|ally enemy|attack defend|war peace|full empty|thick thin|wide narrow|deep shallow|near far|"
    "same different|similar different|true false|simple complex|odd even|constant variable|oppose favor|encourage discourage|"
    "advantage disadvantage|benefit harm|cause cure|summer winter|spring autumn|day night|morning evening|land sea|liquid solid|"
    "liquid gas|input output|upload download|online offline|admit deny"
)
STOP = frozenset(
    map(
        stem,
        "a an the of in on at to for and or is are was were be been by with as that this it its from which who whom whose what when "
        "where how why do does did not no he she they we you i his her their our your has have had will would can could s t many "
        "much".split(),
    )
)


def _paired() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for one, other in (map(stem, pair.split()) for pair in _PAIRS.split("|")):
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


_OPPOSITES = _paired()
