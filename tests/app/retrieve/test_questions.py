"""Questions that wait together share a forward pass; none can tell."""

import asyncio

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.embed import Embedder
from app.retrieve import Questions
from tests.conftest import QUESTION

WORDS = st.sampled_from("how long are audit logs kept on the Enterprise plan in Köln 数据 ? 8443".split())
ASKED = st.lists(st.lists(WORDS, min_size=1, max_size=40).map(" ".join), min_size=1, max_size=12)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ASKED)
def test_a_vector_is_the_same_whoever_else_asks(embedder: Embedder, asked: list[str]):
    questions = Questions(embedder)

    together = questions(asked)
    questions.close()

    for text, row in zip(asked, together, strict=True):
        np.testing.assert_allclose(row, embedder([text])[0], atol=1e-6)


async def test_concurrent_questions_each_get_what_they_wanted(embedder: Embedder):
    questions = Questions(embedder)
    asked = [f"{QUESTION} And number {n}?" for n in range(12)]

    found = await asyncio.gather(
        *(asyncio.wrap_future(questions.submit(text, lambda row, text=text: (text, row.copy()))) for text in asked)  # type: ignore[misc]
    )

    for text, (said, row) in zip(asked, found, strict=True):
        assert said == text
        np.testing.assert_allclose(row, embedder([text])[0], atol=1e-6)
    questions.close()


async def test_an_error_in_a_search_reaches_its_asker_alone(embedder: Embedder):
    questions = Questions(embedder)

    bad, good = await asyncio.gather(
        asyncio.wrap_future(questions.submit("one", lambda row: 1 / 0)),
        asyncio.wrap_future(questions.submit("two", lambda row: row.shape)),
        return_exceptions=True,
    )

    assert isinstance(bad, ZeroDivisionError)
    assert good == (384,)
    questions.close()


async def test_a_text_that_can_not_be_embedded_spares_its_neighbours(embedder: Embedder):
    questions = Questions(embedder)
    futures = [questions.submit(text, len) for text in ("fine", "\ud800", "fine too")]
    questions.close()

    assert (futures[0].result(0), futures[2].result(0)) == (384, 384)
    with pytest.raises((TypeError, UnicodeEncodeError)):
        futures[1].result(0)


async def test_a_question_that_nobody_waits_for_is_not_embedded(embedder: Embedder):
    questions = Questions(embedder)
    ran: list[str] = []
    futures = [questions.submit(QUESTION + str(n), lambda row, n=n: ran.append(str(n))) for n in range(60)]  # type: ignore[misc]

    taken_back = [n for n, future in enumerate(futures) if future.cancel()]
    questions.close()

    assert not {str(n) for n in taken_back} & set(ran)
    assert len(ran) == 60 - len(taken_back)


def test_a_question_asked_again_is_not_embedded_again(embedder: Embedder, monkeypatch: pytest.MonkeyPatch):
    calls: list[int] = []
    real = embedder.in_batches
    monkeypatch.setattr(embedder, "in_batches", lambda texts: calls.append(len(texts)) or real(texts))
    monkeypatch.setattr("app.retrieve.questions._REMEMBERED", 2)
    questions = Questions(embedder)

    first = questions(["a"])
    again = questions(["a"])
    for text in ("b", "c", "a"):  # only two are remembered
        questions([text])
    questions.close()

    np.testing.assert_array_equal(first, again)
    assert calls == [1, 0, 1, 1, 1]
