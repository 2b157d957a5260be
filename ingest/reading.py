"""A source -> the documents of it that must be indexed anew: loaded, compared with what is there, parsed, validated, cut."""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field

from app.core.config import Settings
from app.core.errors import Misconfigured
from app.core.snapshot import Snapshot
from app.core.types import Document, document_id
from ingest.delta import Delta, fingerprint
from ingest.engine import Engine
from ingest.index import Chunked
from ingest.load import Item, Refused, Skipped, duplicate
from ingest.origin import Origin
from ingest.prepare import Wanted
from ingest.report import Report
from ingest.rules import Rules
from ingest.validate import shrunk

Progress = Callable[[str, int, int | None], None]
"""Called with a step's name, how much was done since the last call, and the whole amount where it is known."""


@dataclass
class Reading:
    """What came of each item, over all sources of a run; some of it for the source that was read last."""

    collection: str
    settings: Settings
    engine: Engine
    report: Report
    delta: Delta
    erased: frozenset[str]
    rules: Rules
    progress: Progress
    seen: set[str] = field(default_factory=set)
    """The id of every document that the last source holds, read or refused."""
    readers: dict[str, list[str]] = field(default_factory=dict)
    """Document id -> who may read it, where the last source says so."""
    refused: list[Refused] = field(default_factory=list)
    """What of the last source was refused."""
    places: set[str] = field(default_factory=set)
    """Where in the last source something was read or refused."""
    earlier: set[str] = field(default_factory=set)
    """The id of every document that sources before the last one hold."""
    whole: bool = True
    """Whether what the last source does not hold is gone from it: of a site only its sitemap can tell."""
    chars: dict[str, int] = field(default_factory=dict)
    """The length of each document that was read anew."""
    weight: int = 0
    read: int = 0
    chunks: int = 0

    def documents(self, origin: Origin, *, exclude: Sequence[str], only: Set[str] | None) -> Iterator[Chunked]:
        """Load, compare, parse and validate; yield what must be indexed anew, cut into chunks.

        Args:
            origin: The source.
            exclude: Globs of what to leave out.
            only: Places in the source that are looked at, with what lies below them; all when not given.
        """
        self.earlier |= self.seen
        self.seen, self.readers, self.refused, self.places = set(), {}, [], set()
        self.whole = origin.place.kind != "web"
        if only is not None and not only:
            return
        self.weight += origin.weigh(exclude)
        for made in self.engine.prepare(self._wanted(origin, exclude, only)):
            match made:
                case Refused():
                    self._refuse(made)
                case Chunked():
                    self.delta.record(made.document)
                    self.chars[made.document.document_id] = made.document.chars
                    yield self.counted(made)

    def _wanted(self, origin: Origin, exclude: Sequence[str], only: Set[str] | None) -> Iterator[Wanted | Refused]:
        for found in origin.read(self.settings.ingest, exclude=exclude, only=only):
            match found:
                case Skipped():
                    self.report.skipped.append(found)
                case Refused():
                    yield found
                case Item():
                    self.progress("reading", 1, None)
                    self.report.read += 1
                    self.read += len(found.raw)
                    self.whole |= found.listed
                    self.places.add(found.source)
                    yield from self._compared(found)

    def _compared(self, item: Item) -> Iterator[Wanted | Refused]:
        identity, print_ = document_id(self.collection, item.uri), fingerprint(item.raw, self.rules.identity)
        if identity in self.erased:
            banned = "It was deleted. Bring it back with `citewell docs restore`, then ingest again."
            yield Refused(item.source, item.uri, "erased", banned)
            return
        if identity in self.earlier:  # two sources of a run overlap
            yield duplicate(item)
            return
        self.seen.add(identity)
        if item.acl is not None:
            self.readers[identity] = item.acl
        if self.delta.is_unchanged(identity, print_):
            self.delta.unchanged.add(identity)
        else:
            yield Wanted(item, identity, print_)

    def counted(self, made: Chunked) -> Chunked:
        """Count a document's chunks: so it is known how many there will be."""
        self.chunks += len(made.ranges)
        return made

    def conclude(self, origin: Origin, *, sync: bool, accept_shrinkage: bool) -> None:
        """Find out what the last source holds no more.

        Raises:
            Misconfigured: It shrank by more than half, or can't tell what is gone.
        """
        if not (sync or self.chars or self.delta.deleted):
            return  # every document is as it was
        ours = self.delta.of_source(origin.owns)
        unnamed = any(refused.uri is None for refused in self.refused)
        if sync and (unnamed or (self.refused and not self.whole)):
            self.report.sync_held = True  # which documents those were is not known: none of this source may be dropped
        elif sync and not self.whole:
            raise Misconfigured(
                f"`--sync` needs a sitemap, and {origin.target} is none that lists a page. Nothing was published."
            )
        elif sync:
            self.delta.deleted |= {document.document_id for document in ours} - self.seen - self.earlier - self.erased
        self.delta.deleted -= self.seen  # the source before, another sitemap of this site, did not have it
        if not accept_shrinkage:
            shrunk(origin.name, ours, self.delta.deleted, self.chars)

    def embedded(self, amount: int) -> None:
        """Pass on that chunks were embedded; how many there will be is known by how much was read."""
        self.progress("embedding", amount, round(self.chunks * max(1.0, self.weight / max(self.read, 1))))

    def _refuse(self, refused: Refused) -> None:
        self.report.refused.append(refused)
        self.refused.append(refused)
        self.places.add(refused.source)
        if refused.uri:  # it is still in its source: what was indexed of it stays
            self.seen.add(document_id(self.collection, refused.uri))


def kept(held: Snapshot, gone: Set[str], built_with: dict[str, object]) -> Iterator[tuple[Document, str]]:
    """Yield the documents that stay, with their texts as they are stored: their sources need not be at hand.

    Raises:
        Misconfigured: The house form of texts is another one now, so that stored texts are not what reading would give.
    """
    for document in [document for document in held.documents() if document.document_id not in gone]:
        if held.built_with["normaliser"] != built_with["normaliser"]:
            raise Misconfigured(
                "This version reads texts in another form, and the collection holds documents of other sources: ingest "
                "all of them into a new collection."
            )
        yield document, held.texts.read(document.revision)
