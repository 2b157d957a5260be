"""Our errors -> problem documents, on the wire and in OpenAPI."""

import secrets
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.api.schemas import ProblemBody
from app.core import telemetry
from app.core.errors import (
    CitewellError,
    Forbidden,
    InternalError,
    InvalidRequest,
    LedgerUnavailable,
    MalformedBody,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    Unauthenticated,
)

MEDIA_TYPE = "application/problem+json"
_LONGEST_ID = 128


def request_id(request: Request) -> str:
    """Return the request's id: the caller's own if it is harmless, else a new one."""
    if not hasattr(request.state, "request_id"):
        given = request.headers.get("x-request-id", "")
        harmless = 0 < len(given) <= _LONGEST_ID and given.isascii() and given.isprintable()
        request.state.request_id = given if harmless else "req_" + secrets.token_hex(12)
    found: str = request.state.request_id
    return found


def problem(error: CitewellError, request_id: str, headers: dict[str, str] | None = None) -> Response:
    """Send the safe half of an error."""
    more = dict(headers or {})
    if "retry_after_s" in error.extra:
        more["Retry-After"] = str(error.extra["retry_after_s"])
    if isinstance(error, Unauthenticated):
        more["WWW-Authenticate"] = "Bearer"
    body = orjson.dumps(error.problem(request_id))
    return Response(body, status_code=error.status, media_type=MEDIA_TYPE, headers={"X-Request-Id": request_id, **more})


def install(app: FastAPI) -> None:
    """Show every error that a route or the framework raises as a problem document."""

    @app.exception_handler(CitewellError)
    async def _ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, CitewellError)
        if error.status >= 500:
            telemetry.log.warning(
                "refused", request_id=request_id(request), code=error.code, detail=error.detail or error.message
            )
        return problem(error, request_id(request))

    @app.exception_handler(RequestValidationError)
    async def _fields(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem(_invalid(error), request_id(request))

    @app.exception_handler(HTTPException)
    async def _framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            allowed = dict(error.headers or {})
            hint = f" Use {allowed['Allow']}." if "Allow" in allowed else ""
            return problem(MethodNotAllowed(f"This route does not take {request.method}.{hint}"), request_id(request), allowed)
        if error.status_code == 400:
            return problem(MalformedBody("The body is not valid JSON in UTF-8."), request_id(request))
        return problem(NotFound("There is no such route. GET /openapi.json lists them."), request_id(request))

    @app.exception_handler(Exception)
    async def _bug(request: Request, _: Exception) -> Response:
        telemetry.log.exception("bug", request_id=request_id(request))
        return problem(InternalError(), request_id(request))


def documents(*errors: type[CitewellError]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of a route that raises these errors, beside those that every route can."""
    by_status: dict[int, list[str]] = {}
    every: set[type[CitewellError]] = {InvalidRequest, Unauthenticated, Forbidden, Overloaded, LedgerUnavailable, InternalError}
    for error in every.union(errors):
        by_status.setdefault(error.status, []).append(error.code)
    schema = {"$ref": f"#/components/schemas/{ProblemBody.__name__}"}
    return {
        status: {"description": ", ".join(sorted(codes)), "content": {MEDIA_TYPE: {"schema": schema}}}
        for status, codes in sorted(by_status.items())
    }


def _invalid(error: RequestValidationError) -> CitewellError:
    found = error.errors()
    if any(entry["type"] == "json_invalid" for entry in found):
        return MalformedBody("The body is not valid JSON in UTF-8.")
    fields = [
        {"field": ".".join(str(part) for part in entry["loc"][1:]) or "body", "message": str(entry["msg"])[:200]}
        for entry in found[:50]
    ]
    return InvalidRequest(f"{fields[0]['field']}: {fields[0]['message']}. See `errors` for all fields.", errors=fields)
