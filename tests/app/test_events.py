import orjson
import pytest

from app import events
from app.core.types import Citation, Claim, Warned
from app.events import Fold, dollars, dollars_text
from tests.app.build import chunk


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (136_000, "0.000136"),
        (10**9, "1"),
        (1_500_000_000, "1.5"),
        (10**18 + 1, "1000000000.000000001"),
    ],
)
def test_money_is_a_plain_number_written_from_the_integer(nano: int, text: str):
    assert dollars_text(nano) == text
    assert orjson.dumps({"cost_usd": dollars(nano)}) == f'{{"cost_usd":{text}}}'.encode()


def test_the_body_is_the_fold_of_the_events():
    fold = Fold()
    one = chunk("Logs are kept.")
    for event in (
        events.created("ans_1", {"id": "rel_1"}, "now"),
        events.warned(Warned("w", "careful")),
        events.cited(Citation(1, one, 0, 14, "Logs are kept.", 0.5)),
        events.delta("Logs are kept [1]."),
        events.claimed(Claim("Logs are kept [1].", 0, 18, (1,), "verbatim", 1.0)),
        events.delta(" Yes [1]."),
        events.claimed(Claim("Yes [1].", 19, 27, (1,), "unsupported", 0.1)),
    ):
        fold.add(event)

    body = fold.body(status="answered", confidence=None, abstained_because=None, usage={}, timings_ms={}, trace_id="t")

    assert (body["id"], body["answer"], body["created_at"]) == ("ans_1", "Logs are kept [1]. Yes [1].", "now")
    assert body["citations"][0]["answer_spans"] == [[0, 18], [19, 27]]
    assert "answer_spans" not in fold.citations[0]  # the event was sent without them
    assert [claim["support"] for claim in body["claims"]] == ["verbatim", "unsupported"]
    assert body["warnings"] == [{"code": "w", "message": "careful"}]
