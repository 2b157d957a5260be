"""What happens to a request before a route sees it: size, media type, how many at once; and the headers of every response."""

from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import problem, request_id
from app.core.config import LimitSettings
from app.core.errors import BodyTooLarge, CitewellError, Overloaded, ShuttingDown, UnsupportedMediaType

_WORK = ("/v1/answers", "/v1/search")
"""Routes that cost something: only these count against the limit of concurrent requests."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""What a page from here may load and do: its own files, nothing inline, nothing from elsewhere. `/docs` has its own."""


class Edge:
    """Pure ASGI, so that streams pass through untouched."""

    def __init__(self, app: ASGIApp, limits: LimitSettings) -> None:
        self._app = app
        self._limits = limits
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id(request))
        work = request.method == "POST" and request.url.path in _WORK
        send = _with_headers(send, request_id(request))
        refusal = self._refusal(request, work=work)
        if refusal is not None:
            await problem(refusal, request_id(request))(scope, receive, send)
            return
        self._running += work
        try:
            await _Bounded(self._app, self._limits.body_bytes)(scope, receive, send)
        finally:
            self._running -= work

    def _refusal(self, request: Request, *, work: bool) -> CitewellError | None:
        if request.method not in ("POST", "PUT", "PATCH"):
            return None
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._limits.body_bytes:
            return _too_large(self._limits.body_bytes)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        has_body = (length.isdigit() and int(length) > 0) or "transfer-encoding" in request.headers
        if has_body and kind != "application/json":
            return UnsupportedMediaType("Send JSON, with `Content-Type: application/json`.")
        if work and request.app.state.service.answering.stopping.is_set():
            return ShuttingDown("The server is stopping. Ask again in a moment.", retry_after_s=self._limits.retry_after_s)
        if work and self._running >= self._limits.concurrency:
            return Overloaded(
                f"{self._limits.concurrency} requests are being answered, which is the limit. Try again shortly.",
                retry_after_s=self._limits.retry_after_s,
                limit=self._limits.concurrency,
            )
        return None


class _Bounded:
    """Counts a body while it comes in: a chunked one declares no length."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0
        over = False
        began = False

        async def counted() -> Message:
            nonlocal size, over
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limit:
                over = True
                return {"type": "http.disconnect"}
            return message

        async def unless_over(message: MutableMapping[str, Any]) -> None:
            nonlocal began
            if not over:
                began = True
                await send(message)

        try:
            await self._app(scope, counted, unless_over)
        except Exception:  # a route that met our cut of its body fails in its own way; the 413 below says what happened
            if not over:
                raise
        if over and not began:
            await problem(_too_large(self._limit), request_id(Request(scope)))(scope, receive, send)


def _with_headers(send: Send, request_id: str) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message["headers"]}
            wanted = {
                b"x-request-id": request_id.encode(),
                b"x-content-type-options": b"nosniff",
                b"referrer-policy": b"no-referrer",
                b"cache-control": b"no-store",
                b"content-security-policy": POLICY.encode(),
            }
            message["headers"] = [*message["headers"], *((name, value) for name, value in wanted.items() if name not in names)]
        await send(message)

    return with_headers


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is over {limit:,} bytes, which is the limit. Send less.", limit=limit)
