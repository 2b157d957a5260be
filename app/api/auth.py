"""A request -> who asks. Everything about the caller comes from its key; a request names neither tenant nor principals."""

import ipaddress
from asyncio import to_thread
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine

from app.core.db import keys
from app.core.db.engine import transaction
from app.core.errors import Forbidden, Unauthenticated
from app.core.types import LOCAL, Caller

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def is_loopback(host: str) -> bool:
    """Whether a host name or address, with or without a port, means this machine alone."""
    name = host.rpartition(":")[0] if host.count(":") == 1 else host
    name = name[1 : name.index("]")] if name.startswith("[") and "]" in name else name
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def from_this_machine(request: Request) -> bool:
    """Whether a request was sent by the local person: from loopback, to a loopback name, through no proxy."""
    peer = request.client.host if request.client else ""
    return (
        is_loopback(peer)
        and is_loopback(request.headers.get("host", ""))
        and not any(name in request.headers for name in _FORWARDED)
    )


def requires(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    """Return a dependency that lets in whoever may do ``scope``."""

    async def caller(request: Request) -> Caller:
        found = await to_thread(identify, request.app.state.service.engine, request)
        if not found.may(scope):
            raise Forbidden(f"This key lacks the scope `{scope}`. Make one that has it: `citewell keys create --scope {scope}`.")
        return found

    return caller


def identify(engine: Engine, request: Request) -> Caller:
    """Return who asks.

    Raises:
        Unauthenticated: No key, or not a valid one; a presented unknown key is refused even where none is needed.
    """
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    with transaction(engine, reads=True) as session:
        if secret:
            row = keys.find(session, secret.strip()) if kind.lower() == "bearer" else None
            if row is None:
                raise Unauthenticated("The key is not valid. `citewell keys list` shows the valid ones.")
            return Caller(row.tenant, row.id, tuple(row.principals), frozenset(row.scopes))
        if from_this_machine(request) and not keys.any_ever(session):
            return LOCAL
    raise Unauthenticated("A key is needed: send `Authorization: Bearer cw_…`. `citewell keys create` makes one.")


Answers = Annotated[Caller, Depends(requires("answer"))]
Searches = Annotated[Caller, Depends(requires("search"))]
GivesFeedback = Annotated[Caller, Depends(requires("feedback"))]
ReadsDocuments = Annotated[Caller, Depends(requires("documents"))]
