"""Question -> admitted question, or a refusal.

The first and the last step of an answer. Today: size, control characters, emptiness. Scanning what leaves comes here.
"""

from dataclasses import replace

from app.core.config import LimitSettings
from app.core.errors import InvalidRequest, QuestionEmpty, QuestionTooLong
from app.core.text import normalise, visible
from app.core.tokens import TokenCounter
from app.core.types import Ask, Message, Warned

POLICY = "guard/1"
"""Part of the release."""


def admit(ask: Ask, limits: LimitSettings, count: TokenCounter) -> tuple[Ask, tuple[Warned, ...]]:
    """Return the question in house form, with what the caller should know about the change.

    Raises:
        QuestionEmpty: Nothing of it would be seen on paper.
        QuestionTooLong: Over the limit in characters or tokens; the earlier turns count on their own.
    """
    question = normalise(ask.question).strip()
    if not visible(question):
        raise QuestionEmpty("The question is empty. Ask something.")
    if len(question) > limits.question_chars:
        raise QuestionTooLong(
            f"The question has {len(question):,} characters; the limit is {limits.question_chars:,}. Shorten it.",
            limit=limits.question_chars,
        )
    tokens = count(question)
    if tokens > limits.question_tokens:
        raise QuestionTooLong(
            f"The question has {tokens:,} tokens; the limit is {limits.question_tokens:,}. Shorten it.",
            limit=limits.question_tokens,
        )
    turns = tuple(Message(turn.role, normalise(turn.content)) for turn in ask.messages)
    if len(turns) > limits.history_messages:
        raise InvalidRequest(
            f"There are {len(turns):,} earlier turns; the limit is {limits.history_messages}. Send the last ones.",
            errors=[{"field": "messages", "message": f"over {limits.history_messages} turns"}],
            limit=limits.history_messages,
        )
    if sum(count(turn.content) for turn in turns) > 4 * limits.question_tokens:
        raise InvalidRequest(
            "The earlier turns are too long. Send fewer of them.",
            errors=[{"field": "messages", "message": f"over {4 * limits.question_tokens:,} tokens"}],
        )
    warnings: list[Warned] = []
    if any(ord(char) < 32 and char not in "\t\n\r" for char in ask.question):
        warnings.append(Warned("control_characters_removed", "Control characters were removed from the question."))
    return replace(ask, question=question, messages=turns), tuple(warnings)
