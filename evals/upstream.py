"""A fake provider on loopback: OpenAI's protocol, an instant answer, and every way a real one was seen to fail.

It stands at the one edge that can't be reached from a test or a benchmark, says in each answer that it is a fake (its model is
called ``fake``), and is as nasty as the real thing. The first part of the base URL's path chooses how it behaves:
``http://127.0.0.1:PORT/cut/v1``.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from evals.loopback import serving

FAILURES = {
    "down": (500, {"error": {"message": "boom"}}),
    "limit": (429, {"error": {"message": "slow down"}}),
    "quota": (429, {"error": {"message": "no money", "code": "insufficient_quota"}}),
    "auth": (401, {"error": {"message": "bad key sk-secret"}}),
    "forbidden": (403, {"error": {"message": "no"}}),
    "context": (400, {"error": {"message": "maximum context length is 10 tokens", "code": "context_length_exceeded"}}),
    "gateway": (502, "<html>Bad Gateway</html>"),
    "junk": (200, "<html>not json</html>"),
    "empty": (200, ""),
    "choiceless": (200, {"id": "x", "object": "chat.completion", "created": 1, "model": "fake", "choices": []}),
    "error200": (200, {"error": {"message": "no"}}),
}
"""Answers that are none, streamed or not."""

_TEXT = re.compile(r'<passage n="(\d+)"[^>]*>\n(.*?)\n</passage>', re.DOTALL)


@dataclass
class Upstream:
    """A running fake, and what it saw."""

    port: int
    requests: list[dict[str, Any]] = field(default_factory=list, repr=False)
    finished: int = 0
    disconnected: int = 0
    replies: dict[str, str] = field(default_factory=dict, repr=False)
    """Behaviour -> the text it answers with; else the first sentence of the first passage, cited."""

    def url(self, behaviour: str = "fine") -> str:
        """Return the base URL that behaves so."""
        return f"http://127.0.0.1:{self.port}/{behaviour}/v1"


@contextmanager
def running() -> Iterator[Upstream]:
    """Run a fake provider on a free port until the block ends."""
    upstream = Upstream(0)
    app = Starlette(routes=[Route("/{behaviour}/v1/chat/completions", _Chat(upstream), methods=["POST"])])
    with serving(app) as upstream.port:
        yield upstream


class _Chat:
    """One route, as an ASGI endpoint class so that it can close a connection in the middle."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        behaviour = request.path_params["behaviour"]
        body = json.loads(await request.body())
        self._upstream.requests.append({"behaviour": behaviour, **body})
        text = self._upstream.replies.get(behaviour) or _reply(body["messages"])
        streamed = bool(body.get("stream"))
        try:
            if behaviour in FAILURES:
                status, content = FAILURES[behaviour]
                headers = {"retry-after": "7"} if status == 429 else {}
                plain = content if isinstance(content, str) else json.dumps(content)
                await Response(plain, status, headers, "application/json")(scope, receive, send)
            elif behaviour == "hang":
                await asyncio.sleep(60)
            elif streamed:
                pieces = self._stream(behaviour, body, text)
                await StreamingResponse(pieces, media_type="text/event-stream")(scope, receive, send)
            else:
                if behaviour in ("slow", "drip", "stall"):
                    await asyncio.sleep(3)
                await JSONResponse(_whole(behaviour, body, text))(scope, receive, send)
            self._upstream.finished += 1
        except (asyncio.CancelledError, OSError):
            self._upstream.disconnected += 1
            raise

    async def _stream(self, behaviour: str, body: dict[str, Any], text: str) -> AsyncIterator[bytes]:
        words = re.findall(r"\s*\S+\s*\Z|\s*\S+", text)
        try:
            if behaviour in ("wordless", "thinking"):
                for _ in range(100 if behaviour == "wordless" else 4):
                    yield _event({"content": ""} if behaviour == "wordless" else {"reasoning_content": "Hmm."}, None)
                    await asyncio.sleep(0.5)
            for number, word in enumerate(words):
                if behaviour in ("slow", "drip"):
                    await asyncio.sleep(0.25)
                if number == max(1, len(words) // 2):
                    if behaviour == "cut":
                        return
                    if behaviour == "drop":
                        raise ConnectionAbortedError("dropped on purpose")
                    if behaviour == "stall":
                        await asyncio.sleep(60)
                    if behaviour == "midjunk":
                        yield b"data: {not json\n\n"
                yield _event({"content": word}, None)
            if behaviour != "doneonly":
                yield _event({}, "length" if behaviour == "length" else "stop")
            if body.get("stream_options", {}).get("include_usage") and behaviour != "nousage":
                yield b"data: " + json.dumps({**_HEAD, "choices": [], "usage": _usage(behaviour, body, text)}).encode() + b"\n\n"
            yield b"data: [DONE]\n\n"
        except (asyncio.CancelledError, GeneratorExit):
            self._upstream.disconnected += 1
            raise


_HEAD = {"id": "fake-1", "object": "chat.completion.chunk", "created": 1, "model": "fake"}


def _event(delta: dict[str, str], finish: str | None) -> bytes:
    return (
        b"data: " + json.dumps({**_HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode() + b"\n\n"
    )


def _whole(behaviour: str, body: dict[str, Any], text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    finish = "length" if behaviour == "length" else "stop"
    whole: dict[str, Any] = {
        **_HEAD,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
    if behaviour != "nousage":
        whole["usage"] = _usage(behaviour, body, text)
    return whole


def _usage(behaviour: str, body: dict[str, Any], text: str) -> dict[str, Any]:
    prompt = sum(len(message["content"].split()) for message in body["messages"])
    completion = len(text.split())
    match behaviour:
        case "zero":
            prompt = completion = 0
        case "negative":
            prompt, completion = -5, -1
        case "absurd":
            prompt = completion = 99_999_999
    cached = {"prompt_tokens_details": {"cached_tokens": prompt // 2}} if behaviour == "cached" else {}
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **cached}


def _reply(messages: list[dict[str, str]]) -> str:
    found = _TEXT.search("\n".join(message["content"] for message in messages))
    if not found:
        return "I am a fake provider and saw no passage."
    sentence = re.split(r"(?<=[.!?])\s", " ".join(found[2].split()))[0].rstrip(".")
    return f"{sentence} [{found[1]}]."
