"""Messages -> text and usage, through LiteLLM. The only module that imports it.

What LiteLLM hides is looked for here: a stream that broke off comes back as a clean ``stop``, a missing usage as 0 or as an
unmarked estimate, retries as nothing at all. Every attempt is ours: no retries below, deadlines above, usage checked.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from app.core.config import CallSettings
from app.core.errors import (
    CitewellError,
    ModelBadResponse,
    ModelRejected,
    ModelTimeout,
    ModelUnavailable,
)
from app.core.tokens import counter
from app.core.types import Message, Nano
from app.model.prices import Price

if TYPE_CHECKING:
    from litellm.llms.custom_llm import CustomLLM

PROVIDER = "citewell"
"""The LiteLLM provider under which our own models answer."""

_TURN_TOKENS = 8
"""What a chat format adds to a turn, at most, in the formats we know."""


@dataclass(frozen=True, slots=True)
class Route:
    """A model by the name that prices and the ledger use, and how LiteLLM reaches it."""

    name: str
    litellm_model: str
    base_url: str | None = None
    api_key: str | None = None
    weights: str | None = None
    """sha256 of the weights where we know them: they decide the answer as much as the name does."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What decides an answer beside the messages; part of the release."""

    temperature: float
    max_tokens: int
    seed: int | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one attempt. ``estimated``: the provider did not say, so they were counted here."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    estimated: bool = False


class _LiteLLM:
    """The library, once imported, and our own handler's place in it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.module: Any = None
        self.handler: Callable[[], CustomLLM] | None = None


_litellm = _LiteLLM()


def load() -> Any:
    """Import LiteLLM (seconds, 165 MB) with everything off that would call home; later calls are free."""
    with _litellm.lock:
        if _litellm.module is None:
            import litellm

            litellm.disable_hf_tokenizer_download = True  # or counting llama's tokens asks a hub, for 23 s, on the event loop
            litellm.suppress_debug_info = True
            _register(litellm)
            _litellm.module = litellm
        return _litellm.module


def loaded() -> bool:
    """Whether LiteLLM is there, so that the next call does not wait for its import."""
    return _litellm.module is not None


def provide(handler: "Callable[[], CustomLLM]") -> None:
    """Let ``citewell/<name>`` be answered by our own handler, through LiteLLM like any other model.

    Args:
        handler: Makes it; called when LiteLLM is there, since the handler's class derives from LiteLLM's.
    """
    with _litellm.lock:
        _litellm.handler = handler
        if _litellm.module is not None:
            _register(_litellm.module)


def _register(litellm: Any) -> None:
    if _litellm.handler is not None:
        litellm.custom_provider_map = [{"provider": PROVIDER, "custom_handler": _litellm.handler()}]
        litellm.utils.custom_llm_setup()


async def close() -> None:
    """Close the connections that LiteLLM keeps open."""
    if loaded():
        await load().close_litellm_async_clients()


class Call:
    """One upstream attempt: iterate ``pieces`` once, then read ``usage`` and ``outcome``, however it ended."""

    def __init__(self, route: Route, parameters: Parameters, messages: Sequence[Message], limits: CallSettings) -> None:
        self.route = route
        self.parameters = parameters
        self.messages = [{"role": message.role, "content": message.content} for message in messages]
        self.limits = limits
        self.outcome = "cancelled"
        """``ok`` or a problem's code; what it says until the attempt ended by itself."""
        self.truncated = False
        """The model was cut by ``max_tokens``."""
        self._text: list[str] = []
        self._reported: Usage | None = None
        self._reached = False

    def worst_case(self, price: Price) -> Nano:
        """Return the most this attempt can cost: more prompt tokens than bytes there can't be."""
        size = sum(len(message["content"].encode()) + _TURN_TOKENS for message in self.messages)
        return price.cost(size, self.parameters.max_tokens)

    @property
    def billed(self) -> bool:
        """Whether the provider may charge for it: it took the request and did not refuse it."""
        return self._reached

    @property
    def usage(self) -> Usage:
        """What was used: as reported where that is credible, else counted here and marked so."""
        if not self._reached:
            return Usage(0, 0)
        if self._reported:
            return self._reported
        count = counter()
        prompt = sum(count(message["content"]) + _TURN_TOKENS // 2 for message in self.messages)
        return Usage(prompt, count("".join(self._text)), estimated=True)

    async def pieces(self, *, stream: bool) -> AsyncGenerator[str, None]:
        """Yield the model's text as it comes; in one piece when not streamed.

        Closing the iterator disconnects the upstream.

        Raises:
            ModelUnavailable: Down, or over its own limits.
            ModelRejected: It refused the call.
            ModelBadResponse: It answered nonsense, nothing, or broke off.
            ModelTimeout: A deadline passed.
        """
        if not loaded():
            await asyncio.to_thread(load)  # seconds, once in a process's life, and no part of the model's time
        source = self._streamed() if stream else self._whole()
        deadline = asyncio.get_running_loop().time() + self.limits.total_s
        size = 0
        try:
            async with aclosing(source) as pieces:
                while True:
                    async with asyncio.timeout_at(deadline):
                        piece = await anext(pieces, None)
                    if piece is None:
                        break
                    self._text.append(piece)
                    size += len(piece)
                    if size > self.limits.max_answer_chars:
                        raise ModelBadResponse("The model did not stop; its answer was cut off.")
                    yield piece
            if not "".join(self._text).strip():
                raise ModelBadResponse("The model answered nothing. Try again; if it stays so, look at the model's own log.")
            self.outcome = "ok"
        except CitewellError as error:
            self.outcome = error.code
            raise
        except TimeoutError as error:
            self.outcome = ModelTimeout.code
            raise ModelTimeout(f"The model took longer than {self.limits.total_s:g} s. Try again.", retry_after_s=1) from error
        except Exception as error:  # LiteLLM raises what it likes: translated here, at the one place that calls it
            mapped, self._reached = translate(error, reached=self._reached)
            self.outcome = mapped.code
            raise mapped from error

    async def _whole(self) -> AsyncGenerator[str, None]:
        self._reached = True
        response = await self._request(stream=False)
        if not response.choices:
            raise ModelBadResponse("The model answered without a choice. Try again.")
        choice = response.choices[0]
        self.truncated = choice.finish_reason == "length"
        self._reported = self._credible(getattr(response, "usage", None))
        yield choice.message.content or ""

    async def _streamed(self) -> AsyncGenerator[str, None]:
        self._reached = True
        clock = asyncio.get_running_loop().time
        wait = self.limits.first_token_s
        deadline = (
            clock() + wait
        )  # one for the response and its first token together: a chunk with nothing in it does not move it
        stream = await _before(deadline, wait, self._request(stream=True))
        try:
            while (chunk := await _before(deadline, wait, anext(stream, None))) is not None:
                delta = chunk.choices[0].delta if chunk.choices else None
                if text := getattr(delta, "content", None):
                    wait = self.limits.between_tokens_s
                    yield text
                    deadline = clock() + wait
                elif getattr(delta, "reasoning_content", None):  # it thinks aloud: not silent, and nothing of it is shown
                    deadline = clock() + wait
            # Not LiteLLM's public API, and the only place where the truth stands: a test fails when they vanish.
            if stream.received_finish_reason is None:
                raise ModelBadResponse("The model's answer broke off. Try again.")
            self.truncated = stream.received_finish_reason == "length"
            usages = [chunk.usage for chunk in stream.chunks if getattr(chunk, "usage", None)]
            self._reported = self._credible(usages[-1] if usages else None)
        finally:
            await stream.aclose()  # a bare break leaves the upstream running to its end

    async def _request(self, *, stream: bool) -> Any:
        litellm = load()
        wanted = {
            "temperature": self.parameters.temperature,
            "max_tokens": self.parameters.max_tokens,
            "seed": self.parameters.seed,
        }
        more: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream else {}
        return await litellm.acompletion(
            model=self.route.litellm_model,
            messages=self.messages,
            stream=stream,
            api_base=self.route.base_url,
            api_key=self.route.api_key,
            timeout=self.limits.total_s,  # one fixed value: LiteLLM keeps a client for each that it sees
            max_retries=0,
            **{name: value for name, value in wanted.items() if value is not None},
            **more,
        )

    def _credible(self, usage: Any) -> Usage | None:
        """Take a provider's usage only when it can be true; zeros and absurdities are as good as none."""
        prompt, completion = getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None)
        if not isinstance(prompt, int) or not isinstance(completion, int):
            return None
        most = sum(len(message["content"].encode()) for message in self.messages) + 1000
        if (
            not 0 < prompt <= most
            or not 0 <= completion <= max(self.parameters.max_tokens, len("".join(self._text).encode())) + 1000
        ):
            return None
        details = getattr(usage, "prompt_tokens_details", None)
        cached = getattr(details, "cached_tokens", None) or 0
        return Usage(prompt, completion, min(max(int(cached), 0), prompt))


async def _before(deadline: float, wait: float, coming: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout_at(deadline):
            return await coming
    except TimeoutError:
        raise ModelTimeout(f"The model was silent for {wait:g} s. Try again.", retry_after_s=1) from None


def supported(route: Route, wanted: Parameters) -> tuple[Parameters, list[str]]:
    """Return the parameters that a model takes, and the names of those left out (which the operator is told)."""
    if route.litellm_model.startswith(PROVIDER + "/") or route.base_url:
        return wanted, []  # ours, or a server that speaks OpenAI's protocol whatever its model is called
    known = load().get_supported_openai_params(model=route.litellm_model)
    if known is None:
        return wanted, []
    left_out = [name for name in ("seed",) if name not in known and wanted.seed is not None]
    return (replace(wanted, seed=None) if left_out else wanted), left_out


def translate(error: Exception, *, reached: bool = True) -> tuple[CitewellError, bool]:
    """Return our error for one of LiteLLM's, and whether the provider may charge for the attempt.

    A provider's own words are for the log: they can hold the prompt.
    """
    litellm = load()
    chain = _chain(error)
    names = {type(link).__name__ for link in chain}
    detail = f"{type(error).__name__}: {str(error)[:300]}"
    known = litellm.exceptions
    status = next((code for link in chain if isinstance(code := getattr(link, "status_code", None), int)), None)
    from_server = "APIStatusError" in {base.__name__ for link in chain for base in type(link).__mro__}
    if names & {"ReadTimeout", "Timeout", "APITimeoutError", "ConnectTimeout"}:
        return ModelTimeout("The model did not answer in time. Try again.", detail=detail, retry_after_s=1), reached
    if names & {"JSONDecodeError", "ValidationError"} or (status == 200 and not from_server):
        return ModelBadResponse("The model's answer was not what its protocol allows. Try again.", detail=detail), reached
    if isinstance(error, known.RateLimitError):
        wait = _retry_after(error)
        return ModelUnavailable("The model is over its own limits. Try again later.", detail=detail, retry_after_s=wait), False
    refused = (known.BadRequestError, known.AuthenticationError, known.NotFoundError, known.PermissionDeniedError)
    if isinstance(error, refused) or (status is not None and 400 <= status < 500):
        return (
            ModelRejected(
                "The model's provider refused our call. An operator should check CITEWELL_MODEL, its base URL and its key "
                "with `citewell doctor`.",
                detail=detail,
            ),
            False,
        )
    if names & {"MidStreamFallbackError"}:
        return ModelBadResponse("The model's answer broke off. Try again.", detail=detail), reached
    never_reached = names & {"ConnectError", "ClientConnectorError", "ConnectionRefusedError"} or from_server
    return (
        ModelUnavailable("The model can't be reached or failed. Try again shortly.", detail=detail, retry_after_s=2),
        reached and not never_reached,
    )


def _chain(error: BaseException) -> list[BaseException]:
    links: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        link = todo.pop()
        if link is not None and link not in links:
            links.append(link)
            todo += [link.__cause__, link.__context__, getattr(link, "original_exception", None)]
    return links


def _retry_after(error: Exception) -> int:
    headers = getattr(error, "litellm_response_headers", None) or {}
    text = str(headers.get("retry-after", ""))
    return min(int(text), 3600) if text.isdigit() else 5
