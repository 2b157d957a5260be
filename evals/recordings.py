"""What real models said, kept so that CI can hear it again: an OpenAI-compatible server on loopback that plays it.

The product calls it through LiteLLM as it calls any provider, streamed or not. A call that was not recorded goes to the real
model where one may be asked, and else is answered with an error: it never becomes a score.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
import rfc8785
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route as HttpRoute

from app.core.config import CallSettings
from app.core.errors import CitewellError, Misconfigured
from app.core.types import Message
from app.model.gateway import Call, Parameters, Route, supported
from evals.loopback import serving

FOLDER = Path(__file__).parent / "data" / "recordings"
"""One folder a suite, in it one file a model and prompt."""
_AS_STATUS = {"model_bad_response": 200, "model_timeout": 408, "model_rejected": 400}
"""What the product takes for the same failure, billed the same: an empty answer, a timeout, a refusal; else 503."""
_PARAMETERS = ("temperature", "max_tokens", "seed")


NOT_RECORDED = (
    "not_recorded",
    "This call was not recorded, and the model may not be asked. Record it with `citewell evals record`, or ask it now with "
    "`citewell evals run --live`.",
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One answer of a real model."""

    key: str
    model: str
    text: str
    finish: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    estimated: bool
    """The model did not say what it used; then a replay doesn't either."""
    question: str
    """For people who read the file; it is part of the messages, which the key is made of."""


def key_of(model: str, body: dict[str, Any]) -> str:
    """Return what a call is found by: sha256 of model, messages and parameters; not of ``stream``, address or port."""
    parameters = {name: body.get(name) for name in _PARAMETERS}
    messages = [{"role": turn["role"], "content": turn["content"]} for turn in body["messages"]]
    return hashlib.sha256(rfc8785.dumps({"model": model, "messages": messages, "parameters": parameters})).hexdigest()


def read(suite: str) -> dict[str, Recorded]:
    """Return all recordings of a suite by their keys.

    Raises:
        Misconfigured: A line is malformed.
    """
    found: dict[str, Recorded] = {}
    for path in sorted((FOLDER / suite).glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
            if not line:
                continue
            try:
                one = Recorded(**orjson.loads(line))
            except (orjson.JSONDecodeError, TypeError) as error:
                raise Misconfigured(f"The recording {path.name}:{number} is malformed: {error}.") from None
            found[one.key] = one
    return found


def write(suite: str, model: str, prompt: str, recorded: Sequence[Recorded]) -> Path:
    """Write the recordings of one suite, model and prompt, in place of the earlier ones."""
    name = re.sub(r"[^A-Za-z0-9@.-]+", "-", f"{model}.{prompt}")
    path = FOLDER / suite / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".new")
    aside.write_text("".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in recorded), encoding="utf-8")
    aside.replace(path)
    return path


@dataclass
class Player:
    """Answers a suite's calls from its recordings, and asks the real model where that is allowed."""

    model: str
    """The name that prices, ledger and keys use."""
    known: dict[str, Recorded]
    real: Callable[[], Route] | None = None
    """How the real model is reached; None: it may not be asked."""
    limits: CallSettings = field(default_factory=CallSettings)
    played: int = 0
    called: list[Recorded] = field(default_factory=list)
    failed: tuple[str, str] | None = None
    """Code and message: why the last call that failed did; the product sees it only as its kind of failure."""
    port: int = 0
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    @property
    def route(self) -> Route:
        """The route that leads here, under the model's own name."""
        return Route(self.model, f"openai/{self.model}", f"http://127.0.0.1:{self.port}/v1", "none")

    async def answer(self, request: Request) -> Response:
        """Answer one chat completion."""
        body = orjson.loads(await request.body())
        key = key_of(self.model, body)
        one = self.known.get(key)
        if one is not None:
            self.played += 1
        elif self.real is None:
            self.failed = NOT_RECORDED
            return Response(status_code=400)
        else:
            try:  # in the product's own event loop: LiteLLM can't live in two
                asked = asyncio.run_coroutine_threadsafe(self._ask(key, body, self.real()), self.loop)
                one = await asyncio.wrap_future(asked)
            except CitewellError as error:
                self.failed = error.code, error.message
                return Response(status_code=_AS_STATUS.get(error.code, 503))
            self.known[key] = one
            self.called.append(one)
        if body.get("stream"):
            return StreamingResponse(_chunks(one), media_type="text/event-stream")
        message = {"role": "assistant", "content": one.text}
        choice = {"index": 0, "message": message, "finish_reason": one.finish}
        return JSONResponse({**_head("chat.completion", one), "choices": [choice], **_usage(one)})

    async def _ask(self, key: str, body: dict[str, Any], route: Route) -> Recorded:
        wanted, _ = supported(route, Parameters(body.get("temperature", 0.0), body["max_tokens"], body.get("seed")))
        messages = [Message(turn["role"], turn["content"]) for turn in body["messages"]]
        call = Call(route, wanted, messages, self.limits)
        text = "".join([piece async for piece in call.pieces(stream=False)])
        usage = call.usage
        question = re.sub(r"</?question>", "", body["messages"][-1]["content"].rpartition("<question>")[2]).strip()
        return Recorded(
            key,
            self.model,
            text,
            "length" if call.truncated else "stop",
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.cached_tokens,
            usage.estimated,
            question,
        )


@contextmanager
def playing(player: Player) -> Iterator[Player]:
    """Serve a player on a free loopback port until the block ends."""
    app = Starlette(routes=[HttpRoute("/v1/chat/completions", player.answer, methods=["POST"])])
    with serving(app) as player.port:
        yield player


def _head(kind: str, one: Recorded) -> dict[str, Any]:
    return {"id": f"rec-{one.key[:16]}", "object": kind, "created": 0, "model": one.model}


def _usage(one: Recorded) -> dict[str, Any]:
    if one.estimated:
        return {}
    return {
        "usage": {
            "prompt_tokens": one.prompt_tokens,
            "completion_tokens": one.completion_tokens,
            "total_tokens": one.prompt_tokens + one.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": one.cached_tokens},
        }
    }


async def _chunks(one: Recorded) -> AsyncIterator[bytes]:
    def event(**more: Any) -> bytes:
        return b"data: " + orjson.dumps({**_head("chat.completion.chunk", one), **more}) + b"\n\n"

    for word in re.findall(r"\s*\S+\s*\Z|\s*\S+", one.text):
        yield event(choices=[{"index": 0, "delta": {"content": word}, "finish_reason": None}])
    yield event(choices=[{"index": 0, "delta": {}, "finish_reason": one.finish}])
    yield event(choices=[], **_usage(one))
    yield b"data: [DONE]\n\n"
