"""The handbook's pages, which problem documents point at."""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse

from app.api.errors import documents
from app.core.config import CHECKOUT, PACKAGE
from app.core.errors import NotFound

router = APIRouter(include_in_schema=False)

HANDBOOK: Path = (CHECKOUT / "docs" if CHECKOUT else PACKAGE / "_data") / "handbook"
_PAGES = {page.stem: page for page in sorted(HANDBOOK.glob("*.md"))}
"""Found once, by name: a request names a page, never a path."""


@router.get("/handbook/{page}", responses=documents(NotFound))
async def show(page: str) -> FileResponse:
    """Show one page as it is written, in Markdown."""
    if page not in _PAGES:
        raise NotFound(f"There is no such page. There are: {', '.join(_PAGES)}.")
    return FileResponse(_PAGES[page], media_type="text/markdown; charset=utf-8")
