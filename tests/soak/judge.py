"""A response, and everything that was so meanwhile -> nothing, or what is wrong with it."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from tests.soak.clients import Seen, body_of
from tests.soak.library import Library, canaries
from tests.soak.model import Access, Content, History

FOLLOW_S = 2.0
"""A published snapshot serves after this long, or what was before."""
PATIENCE_S = 20.0
"""A server on a busy machine may follow later: that is counted. After this long it is a difference."""


@dataclass
class Judge:
    """Compares responses with the model. A response may be judged once no command runs that began before its end."""

    history: History
    library: Library
    known: Mapping[str, Content]
    """What each snapshot holds, by id, deleted documents included."""
    late: list[float] = field(default_factory=list)
    """Seconds after which snapshots still served that another had followed, where it was past what is promised."""

    def look(self, seen: Seen) -> str | None:
        """Return what is wrong with a response, if anything is."""
        if seen.status == 0 or seen.status >= 500:
            return "it failed"
        if seen.kind == "leave":
            return None if seen.status in (200, 410) else "it failed"
        if seen.kind == "again" and seen.earlier:
            return self._again(seen, seen.earlier)
        if seen.status == 410 or _problem(seen) == "source_erased":
            return self._erased_meanwhile(seen)
        if seen.status != 200 and not (seen.kind == "show" and seen.status == 404):
            return "it was refused"
        return self._explained(seen)

    def _explained(self, seen: Seen) -> str | None:
        """Look for one snapshot and one row of the database that give this response, both of its time."""
        rows = _distinct(state.access for state in self.history.during(seen.began, seen.ended))
        for follow in (FOLLOW_S, PATIENCE_S / 4, PATIENCE_S / 2, PATIENCE_S):
            held = _distinct(state.content for state in self.history.during(seen.began - follow, seen.ended))
            # Deleted, cleaned up and restored faster than the server follows: it may hold the text still, or miss it.
            for gone in _subsets(
                self.history.taken(seen.began - follow, seen.ended) - frozenset.intersection(*(row.erased for row in rows))
            ):
                held += [{u: t for u, t in content.items() if u not in gone} for content in held if gone & set(content)]
            if any(self._fits(seen, content, row) for content in held for row in rows):
                if follow > FOLLOW_S:
                    self.late.append(follow)
                return None
        visible = rows[0].visible(held[0], seen.who)
        return f"nothing that was so explains it ({len(held)} snapshots, {len(rows)} rows); the newest shows {dict(visible)}"

    def _fits(self, seen: Seen, content: Content, row: Access) -> bool:
        visible = row.visible(content, seen.who)
        match seen.kind:
            case "search" | "few":
                return self._found(seen.body["hits"], visible, seen.asked["k"])
            case "list" | "again":
                return {d["uri"]: d["title"] for d in seen.body["documents"]} == visible
            case "show":
                if seen.status == 404:
                    return seen.asked["uri"] not in visible
                return self._within([seen.body], visible) and visible.get(seen.asked["uri"]) == seen.body["title"]
            case _:
                events = seen.body if seen.kind == "stream" else []
                passages = [p for event in events if event["type"] == "retrieval.completed" for p in event["passages"]]
                body = body_of(seen)
                words = {word for title in visible.values() for word in self.library.versions[title].canaries}
                said = canaries(f"{body['answer']} {body['claims']} {body['citations']}")
                named = self.known.get(body["release"]["snapshot"], {})
                places = [*passages, *body["citations"]]
                return self._within(places, visible) and said <= words and all(named.get(p["uri"]) == p["title"] for p in places)

    def _found(self, hits: list[dict[str, Any]], visible: Content, k: int) -> bool:
        """Whether these are k chunks of what is visible, or all."""
        if not self._within(hits, visible) or len({(hit["uri"], hit["start"]) for hit in hits}) != len(hits) or len(hits) > k:
            return False
        if len(hits) == k:
            return True
        seen: dict[str, set[str]] = {}
        for hit in hits:
            seen.setdefault(hit["uri"], set()).update(canaries(hit["text"]))
        return seen == {uri: set(self.library.versions[title].canaries) for uri, title in visible.items()}

    def _within(self, places: Iterable[dict[str, Any]], visible: Content) -> bool:
        """Whether each place lies in a document that is visible, at the version that is, and says nothing else."""
        return all(
            visible.get(place["uri"]) == place["title"]
            and canaries(place.get("text", "") + place.get("quote", "")) <= set(self.library.versions[place["title"]].canaries)
            for place in places
        )

    def _erased_meanwhile(self, seen: Seen) -> str | None:
        if any(self.history.deletions(None, seen.began, seen.ended)):
            return None
        return "it says that a document was deleted meanwhile, and none was"

    def _again(self, seen: Seen, earlier: Seen) -> str | None:
        """An answer stands in the books as it was sent, until a document that it used is deleted."""
        body = body_of(earlier)
        events = earlier.body if earlier.kind == "stream" else []
        passages = [p for event in events if event["type"] == "retrieval.completed" for p in event["passages"]]
        used = {place["uri"] for place in (*passages, *body["citations"])}
        if seen.status == 200:
            gone = [uri for uri in used if self._deleted(uri, earlier, seen.began)]
            return f"it used {gone}, which was deleted since" if gone else None if seen.body == body else "it is another answer"
        if seen.status != 410:
            return "it was refused"
        named: Iterable[str | None] = used if passages else [None]  # unstreamed, nobody says which passages it saw
        if any(True for uri in named for _ in self.history.deletions(uri, earlier.began, seen.ended)):
            return None
        return f"it is blanked, and nothing of {sorted(used)} was deleted"

    def _deleted(self, uri: str, earlier: Seen, until: float) -> bool:
        """Whether a document was deleted for certain, between an answer that used it and a later request.

        Deleted and restored while the answer was made, before its rows stood, is as if nothing had been.
        """
        return any(
            window.ended <= until
            and uri in window.after.access.erased
            and not self.history.restored(uri, window.ended, earlier.ended)
            for window in self.history.deletions(uri, earlier.began, until)
        )


def _problem(seen: Seen) -> str | None:
    last = seen.body[-1] if seen.kind == "stream" and isinstance(seen.body, list) else {}
    code: str | None = last.get("problem", {}).get("code")
    return code


def _subsets(items: Set[str]) -> list[Set[str]]:
    return [set(some) for size in range(1, len(items) + 1) for some in combinations(sorted(items), size)]


def _distinct(items: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found
