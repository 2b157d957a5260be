import pytest

from app.core.config import LimitSettings
from app.core.errors import InvalidRequest, QuestionEmpty, QuestionTooLong
from app.core.types import Ask, Message
from app.guard import admit


def words(text: str) -> int:
    return len(text.split())


def admitted(question: str, *turns: Message, **limits: int):
    return admit(Ask(question, messages=turns), LimitSettings(**limits), words)


@pytest.mark.parametrize("question", ["", "   ", "\n\t", "\u200b\u2060", "\x00\x07", "\u3164\u3164", "\ud800"])
def test_a_question_that_shows_nothing_is_empty(question: str):
    with pytest.raises(QuestionEmpty):
        admitted(question)


def test_the_limit_counts_characters_of_what_is_left():
    assert admitted("  " + "a" * 10 + "  ", question_chars=10)[0].question == "a" * 10
    with pytest.raises(QuestionTooLong) as refused:
        admitted("a" * 11, question_chars=10)
    assert refused.value.extra == {"limit": 10}


def test_the_limit_counts_tokens_too():
    with pytest.raises(QuestionTooLong, match="tokens"):
        admitted("why " * 50, question_tokens=10)


def test_removed_control_characters_are_told():
    ask, warnings = admitted("how\x00 long\x07?\r\nreally")

    assert ask.question == "how long?\nreally"
    assert [w.code for w in warnings] == ["control_characters_removed"]


def test_ordinary_text_passes_unchanged_and_unwarned():
    assert admitted("Wie lange? 数据 😀") == (Ask("Wie lange? 数据 😀"), ())


def test_earlier_turns_bring_a_warning_and_have_a_limit():
    assert admitted("And then?", Message("user", "hi"))[1] == ()
    with pytest.raises(InvalidRequest, match="too long"):
        admitted("And then?", Message("user", "word " * 100), question_tokens=10)
    with pytest.raises(InvalidRequest, match="3 earlier turns"):
        admitted("And then?", *[Message("user", "hi")] * 3, history_messages=2)
