"""Documents that can be told from each other by a word, and the folders that hold them."""

import json
import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random

from tests.soak.model import EVERYONE, Folder

COLLECTION = "docs"
READERS = ("ann", "bob", "staff", EVERYONE)
_CANARY = re.compile(r"zq[a-z]{6}")
_NOUNS = "Harbour Orchard Lantern Granary Foundry Ferry Chapel Meadow".split()
_TOWNS = "Bergen Oslo Turku Gdansk Riga Lund Tartu Visby".split()
_SEASONS = "spring summer autumn winter".split()
_MOST = 14
"""Documents of a source, about: all their chunks fit into one search."""


@dataclass(frozen=True)
class Version:
    """A document's text: a title that no other text has, and a canary in each paragraph."""

    title: str
    canaries: tuple[str, ...]
    paragraphs: tuple[str, ...]

    def markdown(self) -> str:
        """Return it as a file."""
        sections = (f"## Part {n}\n\n{text}\n" for n, text in enumerate(self.paragraphs, start=1))
        return f"# {self.title}\n\n" + "\n".join(sections)


def canaries(text: str) -> set[str]:
    """Return the canaries that a text holds."""
    return set(_CANARY.findall(text))


def document_id(uri: str) -> str:
    """Return the id that the contract gives a document."""
    return "doc_" + sha256(f"{COLLECTION}\n{uri}".encode()).hexdigest()[:20]


class Library:
    """Writes versions, and knows every one that it wrote."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.versions: dict[str, Version] = {}
        """By title."""
        self.uris: dict[str, str] = {}
        """Every uri that ever was, by document id."""

    def write(self) -> Version:
        """Return a text that never was."""
        chance = self._chance
        title = f"{chance.choice(_NOUNS)} {len(self.versions) + 1}"
        words = tuple("zq" + "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(chance.randint(1, 3)))
        paragraphs = tuple(
            f"The {word} gate of {chance.choice(_TOWNS)} opens at {chance.randint(1, 12)} in {chance.choice(_SEASONS)}."
            for word in words
        )
        self.versions[title] = Version(title, words, paragraphs)
        return self.versions[title]

    def name(self, uri: str) -> str:
        """Remember a uri."""
        self.uris[document_id(uri)] = uri
        return uri


@dataclass
class Source:
    """A folder on the disk: Markdown files, and one file of rows that carry access lists."""

    path: Path
    library: Library
    chance: Random
    files: dict[str, Version] = field(default_factory=dict)
    rows: dict[str, tuple[Version, frozenset[str] | None]] = field(default_factory=dict)
    past: dict[str, list[Version]] = field(default_factory=dict)
    """What each name held before, so that changes are taken back too."""

    @property
    def name(self) -> str:
        """First part of its uris."""
        return self.path.name

    def folder(self) -> Folder:
        """Return what it holds now, as the model knows it."""
        content = {self._uri(name): version.title for name, version in self.files.items()}
        content |= {self._uri(f"rows.jsonl#{row}"): version.title for row, (version, _) in self.rows.items()}
        acl = {self._uri(f"rows.jsonl#{row}"): who for row, (_, who) in self.rows.items() if who is not None}
        return Folder(self.name, content, acl)

    def hold(self, name: str, version: Version) -> None:
        """Hold a file."""
        self.files[name] = version
        self.past.setdefault(name, []).append(version)

    def ever(self, uri: str) -> list[Version]:
        """Return every version that a document of this source ever had."""
        source, _, name = uri.partition("/")
        return self.past.get(name.removeprefix("rows.jsonl#"), []) if source == self.name else []

    def edit(self) -> str:
        """Change something, and say what."""
        kinds = ["add", "add", "change", "change", "remove", "copy"]
        kind = self.chance.choice(kinds if len(self.files) + len(self.rows) < _MOST else kinds[2:5])
        said = (self._edit_rows if self.chance.random() < 0.4 else self._edit_files)(kind)
        self.write()
        return f"{kind} {self.name}/{said}"

    def write(self) -> None:
        """Bring the disk to what it should hold."""
        self.path.mkdir(exist_ok=True)
        for path in self.path.iterdir():
            if path.name not in self.files:
                path.unlink()
        for name, version in self.files.items():
            self._put(name, version.markdown())
        if self.rows:
            self._put("rows.jsonl", "".join(self._line(row, version, who) for row, (version, who) in self.rows.items()))

    def _edit_files(self, kind: str) -> str:
        named = [name for name in self.files if name != "anchor.md"]  # there is always something to publish
        name = f"f{self.chance.randrange(40)}.md" if kind in ("add", "copy") or not named else self.chance.choice(named)
        if kind == "remove":
            self.files.pop(name, None)
        else:
            self.files[name] = self._version(name, kind)
        return name

    def _edit_rows(self, kind: str) -> str:
        row = f"r{self.chance.randrange(12)}" if kind in ("add", "copy") or not self.rows else self.chance.choice([*self.rows])
        if kind == "remove":
            self.rows.pop(row, None)
            return row
        before = self.rows.get(row)
        version = before[0] if before and self.chance.random() < 0.4 else self._version(row, kind)
        self.rows[row] = version, some_readers(self.chance) if self.chance.random() < 0.8 else None
        return row

    def _version(self, name: str, kind: str) -> Version:
        past = self.past.setdefault(name, [])
        if kind == "copy":  # the same text under another uri
            made = self.chance.choice([*self.library.versions.values()])
        elif past and self.chance.random() < 0.3:
            made = self.chance.choice(past)
        else:
            made = self.library.write()
        past.append(made)
        return made

    def _uri(self, below: str) -> str:
        return self.library.name(f"{self.name}/{below}")

    def _put(self, name: str, text: str) -> None:
        path = self.path / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)

    def _line(self, row: str, version: Version, who: frozenset[str] | None) -> str:
        line = {"_id": row, "title": version.title, "text": "\n\n".join(version.paragraphs)}
        return json.dumps(line if who is None else {**line, "acl": sorted(who)}) + "\n"


def some_readers(chance: Random) -> frozenset[str]:
    """Return who may read a document: nobody, some, everyone."""
    return frozenset(chance.sample(READERS, chance.choice((0, 1, 1, 1, 2))))
