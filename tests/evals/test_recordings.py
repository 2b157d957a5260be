"""Recordings play through the product's own road, and what was not recorded is an error, never a score."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import CitewellError
from app.model.gateway import Route
from evals import recordings
from evals.recordings import Player, Recorded, key_of, playing, read, write
from evals.upstream import Upstream

BODY = {
    "model": "x",
    "messages": [{"role": "user", "content": "Why?"}],
    "temperature": 0.0,
    "max_tokens": 9,
    "seed": 1,
}


def test_a_key_is_of_model_messages_and_parameters_alone():
    key = key_of("m", BODY)

    assert key_of("m", {**BODY, "stream": True, "stream_options": {"include_usage": True}, "model": "other/name"}) == key
    assert key_of("n", BODY) != key
    assert key_of("m", {**BODY, "seed": 2}) != key
    assert key_of("m", {**BODY, "max_tokens": 10}) != key
    assert key_of("m", {**BODY, "messages": [{"role": "user", "content": "Why? "}]}) != key
    assert key_of("m", {**BODY, "messages": [{"role": "system", "content": "Why?"}]}) != key
    assert len(key) == 64


def recorded(text: str = "Kept for 365 days [1].", **more: object) -> Recorded:
    return replace(Recorded(key_of("m", BODY), "m", text, "stop", 12, 6, 3, False, "Why?"), **more)  # type: ignore[arg-type]


@given(st.text(min_size=1), st.booleans(), st.integers(0, 10**9))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, text: str, estimated: bool, tokens: int):
    folder = tmp_path_factory.mktemp("r")
    one = recorded(text.encode("utf-8", "ignore").decode(), estimated=estimated, prompt_tokens=tokens)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recordings, "FOLDER", folder)
        path = write("suite", "openai/gpt 5", "answer@1", [one])

        assert path.name == "openai-gpt-5.answer@1.jsonl"
        assert read("suite") == {one.key: one}


def test_a_malformed_recording_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recordings, "FOLDER", tmp_path)
    write("suite", "m", "answer@1", [recorded()])
    (tmp_path / "suite" / "bad.jsonl").write_text('{"key": "x"}\n')

    with pytest.raises(CitewellError, match=r"bad\.jsonl:1"):
        read("suite")


async def post(player: Player, **more: object) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.post(f"http://127.0.0.1:{player.port}/v1/chat/completions", json={**BODY, **more}, timeout=30)


async def test_a_recording_is_played_whole_or_streamed_with_its_usage():
    with playing(Player("m", {recorded().key: recorded()})) as player:
        whole = (await post(player)).json()
        streamed = (await post(player, stream=True)).text

    assert whole["choices"][0]["message"]["content"] == recorded().text
    assert whole["usage"]["prompt_tokens_details"] == {"cached_tokens": 3}
    assert streamed.count('"content"') == len(recorded().text.split())
    assert '"prompt_tokens":12' in streamed
    assert streamed.endswith("data: [DONE]\n\n")
    assert player.played == 2


async def test_a_usage_that_was_counted_here_is_not_played_as_the_providers():
    with playing(Player("m", {recorded().key: recorded(estimated=True)})) as player:
        assert "usage" not in (await post(player)).json()


async def test_what_was_not_recorded_is_refused():
    with playing(Player("m", {})) as player:
        response = await post(player)

    assert response.status_code == 400
    assert player.failed is not None
    assert player.failed[0] == "not_recorded"
    assert (player.played, player.called) == (0, [])


async def test_where_the_model_may_be_asked_it_is_and_its_answer_is_kept(provider: Upstream):
    route = Route("m", "openai/fake", provider.url(), "sk-none")
    with playing(Player("m", {}, lambda: route)) as player:
        first, again = (await post(player)).json(), (await post(player)).json()

    assert first["choices"] == again["choices"]
    assert (len(player.called), player.played) == (1, 1)
    assert player.called[0].key == key_of("m", BODY)


@pytest.mark.parametrize(
    ("behaviour", "code"), [("down", "model_unavailable"), ("auth", "model_rejected"), ("empty", "model_bad_response")]
)
async def test_a_real_model_that_fails_is_not_recorded(provider: Upstream, behaviour: str, code: str):
    route = Route("m", "openai/fake", provider.url(behaviour), "sk-none")
    with playing(Player("m", {}, lambda: route)) as player:
        await post(player)

    assert player.failed is not None
    assert player.failed[0] == code
    assert player.called == []


def test_the_shipped_recordings_are_of_the_shipped_suites():
    suites = {path.name for path in recordings.FOLDER.iterdir()}

    assert suites == {"answers"}
    assert len(read("answers")) == 24 + 8
