"""The page that people ask on, and the one that describes the API: HTML and its assets from this package, without a build."""

import hashlib
from functools import lru_cache
from typing import NamedTuple

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

from app.api.edge import POLICY
from app.api.errors import documents
from app.core.config import PACKAGE
from app.core.errors import NotFound

router = APIRouter(include_in_schema=False)

FOLDER = PACKAGE / "web"
_TYPES = {".css": "text/css", ".js": "text/javascript"}
"""Said here, not looked up: a slim image knows neither, and a browser refuses a module of another type."""
_PLACE = "/s/-/"
"""Where the pages say their assets are; the hash takes the place of the dash."""


_DOCS_POLICY = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
"""Swagger UI writes styles of its own; its scripts are files of this machine like all others."""


class Site(NamedTuple):
    """What is served, read once."""

    version: str
    pages: dict[str, str]
    assets: dict[str, bytes]


@lru_cache
def site() -> Site:
    """Read the folder. Its hash is part of each asset's address, so that an address never changes what it means."""
    assets = {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix in _TYPES}
    digest = hashlib.sha256()
    for name, content in assets.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    version = digest.hexdigest()[:16]
    pages = {path.name: path.read_text(encoding="utf-8").replace(_PLACE, f"/s/{version}/") for path in FOLDER.glob("*.html")}
    return Site(version, pages, assets)


@router.get("/")
async def page() -> HTMLResponse:
    """Show the page; it is looked at anew each time, and names the assets that belong to it."""
    return HTMLResponse(site().pages["index.html"], headers={"Cache-Control": "no-cache"})


@router.get("/docs")
async def docs() -> HTMLResponse:
    """Show the API's description, with what draws it from this machine: the usual page loads that from elsewhere."""
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": _DOCS_POLICY}
    return HTMLResponse(site().pages["docs.html"], headers=headers)


@router.get("/s/{version}/{name}", responses=documents(NotFound))
async def asset(version: str, name: str) -> Response:
    """Send an asset, to be kept for a year."""
    found = site()
    if version != found.version or name not in found.assets:
        raise NotFound("There is no such file. Load the page again.")
    kind = _TYPES[name[name.rindex(".") :]]
    return Response(found.assets[name], media_type=kind, headers={"Cache-Control": "public, max-age=31536000, immutable"})
