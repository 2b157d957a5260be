"""The model that needs no key: a rendered prompt -> sentences of its passages, each with its ``[n]``.

It stands behind LiteLLM like any other model and sees what any other model sees: the messages, nothing else.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from litellm.llms.custom_llm import CustomLLM
from litellm.types.utils import GenericStreamingChunk, ModelResponse, Usage

from app.core.tags import unescape
from app.core.tokens import counter
from app.core.types import Vectors
from app.model.extract import Pick, Source, extract

NAME = "citewell/extractive"

_PASSAGE = re.compile(r'<passage n="(\d+)" title="(.*?)" heading="(.*?)">\n(.*?)\n</passage>', re.DOTALL)
_QUESTION = re.compile(r"<question>(.*?)</question>", re.DOTALL)
_ABSTAIN = re.compile(r"<abstain>(.*?)</abstain>", re.DOTALL)
_BLOCK = re.compile(r"^(?:- |\d+\. |.* \| )|\n")
_STOP = re.compile(r"[.!?。！？][\"'”’»)\]]*$")


class Extractive(CustomLLM):
    """Answers with the sentences that carry the answer, word for word, or with the prompt's abstain text."""

    def __init__(self, embed: Callable[[Sequence[str]], Vectors]) -> None:
        super().__init__()
        self._embed = embed

    async def acompletion(self, *_: object, **call: Any) -> ModelResponse:
        """Answer in one piece."""
        messages: list[dict[str, str]] = call["messages"]
        text = await asyncio.to_thread(self.reply, messages)
        response: ModelResponse = call["model_response"]
        response.choices[0].message.content = text
        response.choices[0].finish_reason = "stop"
        response.usage = Usage(**_usage(messages, text))  # type: ignore[attr-defined, arg-type]  # as LiteLLM's own handlers do
        return response

    async def astreaming(  # type: ignore[override]  # declared as a coroutine there, and used as the iterator it is
        self, *_: object, **call: Any
    ) -> AsyncIterator[GenericStreamingChunk]:
        """Answer a few words at a time."""
        messages: list[dict[str, str]] = call["messages"]
        text = await asyncio.to_thread(self.reply, messages)
        for piece in re.findall(r"(?:\s*\S+){1,4}\s*", text):
            yield _chunk(piece)
        yield _chunk("", usage=_usage(messages, text))

    def reply(self, messages: Sequence[dict[str, str]]) -> str:
        """Return the whole answer to a rendered prompt."""
        # An earlier turn can't hold our tags (the renderer escapes them), so only the prompt's own are found.
        prompt = "\n".join(message["content"] for message in messages if message["role"] != "assistant")
        question, abstain = _QUESTION.search(prompt), _ABSTAIN.search(prompt)
        if not question or not abstain:
            raise ValueError("the prompt shows no <question> or no <abstain>; its template was not linted")
        passages = [
            Source(int(n), _plain(title), _plain(heading), unescape(text)) for n, title, heading, text in _PASSAGE.findall(prompt)
        ]
        picks = extract(unescape(question[1]), passages, embed=self._embed) if passages else []
        return _compose(picks) if picks else unescape(abstain[1])


def _compose(picks: Sequence[Pick]) -> str:
    parts: list[str] = []
    for pick in picks:
        block = bool(_BLOCK.search(pick.text)) or not _STOP.search(
            pick.text
        )  # an item, a row, a line of code: on a line of its own
        if parts:
            parts.append("\n" if block or parts[-1].endswith("\n") else " ")
        stop = None if block else _STOP.search(pick.text)
        body, end = (pick.text[: stop.start()], stop[0]) if stop else (pick.text, "")
        parts.append(f"{body} [{pick.n}]{end}" + ("\n" if block else ""))
    return "".join(parts).strip()


def _plain(attribute: str) -> str:
    return unescape(attribute.replace("&quot;", '"'))


def _usage(messages: Sequence[dict[str, str]], text: str) -> dict[str, int]:
    count = counter()
    prompt, completion = sum(count(message["content"]) for message in messages), count(text)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _chunk(text: str, usage: dict[str, int] | None = None) -> GenericStreamingChunk:
    return GenericStreamingChunk(
        text=text,
        is_finished=usage is not None,
        finish_reason="stop" if usage is not None else "",
        index=0,
        tool_use=None,
        usage=usage,  # type: ignore[typeddict-item]  # a plain dict is what LiteLLM reads
    )
