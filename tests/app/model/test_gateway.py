"""Against a fake provider that fails in every way a real one was seen to: what LiteLLM hides must come out."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

import pytest

from app.core.config import CallSettings
from app.core.errors import CitewellError, ModelBadResponse, ModelRejected, ModelTimeout, ModelUnavailable
from app.core.types import Message
from app.model import gateway
from app.model.gateway import Call, Parameters, Route
from app.model.prices import Price
from evals.upstream import Upstream

MESSAGES = [
    Message("system", "Answer."),
    Message("user", '<passage n="1" title="" heading="">\nLogs are kept for 365 days and then deleted.\n</passage>'),
]
TEXT = "Logs are kept for 365 days and then deleted [1]."
LIMITS = CallSettings(first_token_s=2.0, between_tokens_s=2.0, total_s=6.0)


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """LiteLLM keeps its connections; each test has an event loop of its own."""
    yield
    await gateway.close()


def call(provider: Upstream, behaviour: str, limits: CallSettings = LIMITS) -> Call:
    base = provider.url(behaviour) if behaviour != "closed" else "http://127.0.0.1:9/v1"
    return Call(Route("openai/fake", "openai/fake", base, "sk-none"), Parameters(0.0, 100, 1), MESSAGES, limits)


async def text_of(one: Call, *, stream: bool) -> str:
    return "".join([piece async for piece in one.pieces(stream=stream)])


async def failure_of(one: Call, *, stream: bool) -> CitewellError:
    with pytest.raises(CitewellError) as caught:
        await text_of(one, stream=stream)
    assert one.outcome == caught.value.code
    assert "sk-" not in caught.value.message
    assert "Traceback" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("stream", [False, True])
async def test_a_healthy_call_gives_its_text_and_the_providers_own_usage(provider: Upstream, stream: bool):
    one = call(provider, "fine")

    assert await text_of(one, stream=stream) == TEXT
    assert (one.outcome, one.billed, one.truncated) == ("ok", True, False)
    assert one.usage.estimated is False
    assert one.usage.completion_tokens == len(TEXT.split())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("behaviour", "error", "billed"),
    [
        ("down", ModelUnavailable, False),
        ("gateway", ModelUnavailable, False),
        ("limit", ModelUnavailable, False),
        ("quota", ModelUnavailable, False),
        ("closed", ModelUnavailable, False),
        ("auth", ModelRejected, False),
        ("forbidden", ModelRejected, False),
        ("context", ModelRejected, False),
        ("junk", ModelBadResponse, True),
        ("empty", ModelBadResponse, True),
        ("choiceless", ModelBadResponse, True),
        ("hang", ModelTimeout, True),
    ],
)
async def test_each_failure_has_its_name_and_is_charged_only_when_it_may_be(
    provider: Upstream, behaviour: str, error: type[CitewellError], billed: bool, stream: bool
):
    one = call(provider, behaviour)

    found = await failure_of(one, stream=stream)

    assert type(found) is error
    assert one.billed is billed
    assert (one.usage.prompt_tokens > 0) is billed
    if behaviour == "limit":
        assert found.extra["retry_after_s"] == 7


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_with_status_200_is_no_answer(provider: Upstream, stream: bool):
    assert (await failure_of(call(provider, "error200"), stream=stream)).status == 502


@pytest.mark.parametrize("behaviour", ["cut", "doneonly", "drop", "midjunk"])
async def test_a_stream_that_broke_off_is_never_a_finished_answer(provider: Upstream, behaviour: str):
    one = call(provider, behaviour)

    assert isinstance(await failure_of(one, stream=True), ModelBadResponse)
    assert one.usage.estimated
    assert one.usage.completion_tokens > 0  # what came was generated, and will be charged


async def test_silence_between_tokens_is_a_timeout(provider: Upstream):
    assert isinstance(await failure_of(call(provider, "stall"), stream=True), ModelTimeout)


async def test_chunks_without_a_word_do_not_move_the_deadline_of_the_first_token(provider: Upstream):
    began = time.perf_counter()

    found = await failure_of(
        call(provider, "wordless", CallSettings(first_token_s=1.2, between_tokens_s=9, total_s=30)), stream=True
    )

    assert isinstance(found, ModelTimeout)
    assert time.perf_counter() - began < 8


async def test_a_model_that_thinks_aloud_is_not_silent(provider: Upstream):
    one = call(provider, "thinking", CallSettings(first_token_s=1.2, between_tokens_s=9, total_s=30))

    assert await text_of(one, stream=True)
    assert "Hmm" not in await text_of(call(provider, "thinking"), stream=True)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_slow_drip_ends_at_the_total_deadline(provider: Upstream, stream: bool):
    one = call(provider, "drip", CallSettings(first_token_s=2, between_tokens_s=2, total_s=1.0))

    assert isinstance(await failure_of(one, stream=stream), ModelTimeout)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("behaviour", ["nousage", "zero", "negative", "absurd"])
async def test_a_usage_that_is_missing_or_can_not_be_true_is_counted_here_and_marked(
    provider: Upstream, behaviour: str, stream: bool
):
    one = call(provider, behaviour)

    await text_of(one, stream=stream)

    assert one.usage.estimated
    assert 20 < one.usage.prompt_tokens < 200
    assert 5 < one.usage.completion_tokens < 40


@pytest.mark.parametrize("stream", [False, True])
async def test_cached_tokens_are_within_the_prompts(provider: Upstream, stream: bool):
    one = call(provider, "cached")

    await text_of(one, stream=stream)

    assert 0 < one.usage.cached_tokens <= one.usage.prompt_tokens


@pytest.mark.parametrize("stream", [False, True])
async def test_reaching_max_tokens_is_seen(provider: Upstream, stream: bool):
    one = call(provider, "length")

    await text_of(one, stream=stream)

    assert one.truncated


async def test_one_attempt_is_one_request(provider: Upstream):
    for behaviour in ("down", "limit", "auth"):
        before = len(provider.requests)
        await failure_of(call(provider, behaviour), stream=False)
        assert len(provider.requests) == before + 1


async def test_an_answer_that_never_ends_is_cut_off(provider: Upstream):
    provider.replies["endless"] = "word " * 3000

    found = await failure_of(call(provider, "endless", CallSettings(max_answer_chars=1000)), stream=True)

    assert isinstance(found, ModelBadResponse)


async def test_closing_the_iterator_disconnects_the_provider(provider: Upstream):
    before = provider.disconnected
    one = call(provider, "slow", CallSettings())
    pieces = one.pieces(stream=True)
    await anext(pieces)

    await pieces.aclose()

    for _ in range(100):
        if provider.disconnected > before:
            break
        await asyncio.sleep(0.05)
    assert provider.disconnected > before
    assert one.outcome == "cancelled"
    assert one.usage.completion_tokens > 0


async def test_what_is_sent_is_the_messages_and_the_parameters(provider: Upstream):
    await text_of(call(provider, "fine"), stream=False)

    sent = provider.requests[-1]
    assert sent["messages"] == [{"role": m.role, "content": m.content} for m in MESSAGES]
    assert (sent["temperature"], sent["max_tokens"], sent["seed"]) == (0.0, 100, 1)


def test_the_worst_case_is_never_below_what_is_used(provider: Upstream):
    from datetime import date
    from decimal import Decimal

    price = Price("m", date(2026, 1, 1), Decimal(1), Decimal(2))

    one = call(provider, "fine")
    one._reached = True  # as if it had been sent: now its prompt counts
    one._text = ["word "] * 100

    used = one.usage
    assert one.worst_case(price) >= price.cost(used.prompt_tokens, used.completion_tokens) > 0


def test_litellm_is_set_up_to_call_nobody():
    litellm = gateway.load()

    assert os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"
    assert litellm.disable_hf_tokenizer_download is True
    assert not litellm.callbacks
    assert not litellm.success_callback
    assert not litellm.failure_callback
    assert litellm.cache is None


KNOWN = set(
    "APIConnectionError APIError APIResponseValidationError AuthenticationError BadGatewayError BadRequestError BlockedPiiEntityError "
    "BudgetExceededError ContentPolicyViolationError ContextWindowExceededError GuardrailInterventionNormalStringError "
    "GuardrailRaisedException ImageFetchError InternalServerError InvalidRequestError JSONSchemaValidationError LITELLM_EXCEPTION_TYPES "
    "LiteLLMUnknownProvider MidStreamFallbackError MockException ModelNotMappedError ModifyResponseException NotFoundError OpenAIError "
    "PaymentRequiredError PermissionDeniedError RateLimitError RejectedRequestError RouterRateLimitError RouterRateLimitErrorBasic "
    "SensitiveDataRouteException ServiceUnavailableError Timeout UnprocessableEntityError UnsupportedParamsError VectorStoreSearchError".split()
)


def test_litellm_has_no_error_that_nobody_looked_at():
    errors = gateway.load().exceptions
    found = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, BaseException) and kind.__module__ == errors.__name__
    }

    assert found <= KNOWN, found - KNOWN
