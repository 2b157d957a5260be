"""Web addresses -> pages, one at a time.

Read in this order: urls (a page's one identity), addresses (where a connection may lead), page (one page), robots, sitemaps.
"""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, replace

from app.core.errors import DocumentRefused
from ingest.fetch.addresses import Network
from ingest.fetch.page import Fetched, Limits, Reach, fetch
from ingest.fetch.sitemaps import is_sitemap, site_prefixes, sitemap
from ingest.fetch.urls import canonical

__all__ = [
    "Failed",
    "Fetched",
    "LeftOut",
    "Limits",
    "Network",
    "Reach",
    "canonical",
    "fetch",
    "pages",
    "site_prefixes",
    "sitemap",
]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A page that a rule keeps out."""

    url: str
    rule: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Something that can't be had, and why."""

    url: str
    refusal: DocumentRefused
    is_page: bool = True
    """False for a sitemap: which pages it would have named is not known."""


def pages(
    url: str,
    limits: Limits,
    *,
    rule: Callable[[str], str | None] = lambda _: None,
    only: Set[str] | None = None,
    reach: Reach | None = None,
) -> Iterator[Fetched | LeftOut | Failed]:
    """Yield the page at an address, or, when it is a sitemap, each page that it names.

    Args:
        url: An http or https address.
        limits: For each page, and how many of them.
        rule: A page's path below its site, query included -> the rule that leaves it out, or None.
        only: What an earlier run could not have: of a sitemap, nothing else is fetched where that can be told.
        reach: How names are looked up and connections made.

    Raises:
        DocumentRefused: ``fetch_refused`` when the address itself is none.
    """
    url = canonical(url)
    try:
        first = fetch(url, limits, reach=reach)
    except DocumentRefused as refusal:
        yield Failed(url, refusal, is_page=False)  # it might have been a sitemap
        return
    if not is_sitemap(first):
        left_out = rule(_below(url))
        yield LeftOut(url, left_out) if left_out else first
        return
    listed = sitemap(first, limits, reach=reach)
    for failed, why in listed.failed:
        yield Failed(failed, why, is_page=False)
    for address, kept_out in listed.left_out:
        yield LeftOut(address, kept_out)
    for page in listed.pages if only is None else _again(listed.pages, only):
        if left_out := rule(_below(page)):
            yield LeftOut(page, left_out)
            continue
        try:
            yield replace(fetch(page, limits, reach=reach), listed=True)
        except DocumentRefused as refusal:
            yield Failed(page, refusal)


def _below(url: str) -> str:
    return url.split("/", 3)[3]


def _again(listed: Sequence[str], places: Set[str]) -> Sequence[str]:
    """Return the pages that are among some places, or hold one, as ``page:12``; all, where a place is of none.

    That one may be a sitemap that could not be read then: which pages it names was not known, so none of them is among the places.
    """
    known = set(listed)
    named = {place if place in known else place.rpartition(":")[0] for place in places}
    return [page for page in listed if page in named] if named <= known else listed
