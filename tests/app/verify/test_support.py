"""The verifier: word for word where it stands, entailed only when sure, and every rule alone is enough to doubt."""

import json
import time
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.sentences import spans
from app.core.types import Chunk, Document, Heading, Passage, document_id, revision_of
from app.verify.support import CONSTANTS, Judgement, identity, judge
from tests.app.build import chunk, passage

LOGS = "Audit logs are kept for 365 days on the Enterprise plan. They are not shared with third parties. Starter keeps logs for 30 days."


def judged(sentence: str, *texts: str) -> Judgement:
    return judge(sentence, [passage(text, n=n, uri=f"s/{n}.md") for n, text in enumerate(texts or (LOGS,), start=1)])


@pytest.mark.parametrize(
    "sentence",
    [
        "Audit logs are kept for 365 days on the Enterprise plan.",
        "Audit logs are kept for 365 days on the Enterprise plan",
        "Audit logs  are kept\nfor 365 days on the Enterprise plan!",
        "- Audit logs are kept for 365 days on the **Enterprise** plan.",
        "kept for 365 days",
    ],
)
def test_what_stands_word_for_word_is_verbatim_and_quoted_where_it_stands(sentence: str):
    result = judged(sentence)

    assert (result.support, result.score) == ("verbatim", 1.0)
    assert result.evidence[0].quote.startswith(("Audit logs are kept", "kept for"))
    assert not result.evidence[0].quote.endswith((" ", "\n"))


def test_a_quote_keeps_the_markers_that_the_prompt_did_not_show():
    text = "Before. Cells divide [12], [13] twice a day [4]. After."
    (found,) = judge("Cells divide twice a day.", [passage(text)]).evidence

    assert found.support == "verbatim"
    assert found.quote == "Cells divide [12], [13] twice a day [4]."[: len(found.quote)]
    assert "twice a day" in found.quote


def test_the_range_is_one_of_the_document_not_of_the_passage():
    whole = "A first part that was not retrieved. " + LOGS
    (found,) = judge("They are not shared with third parties.", [Passage(1, chunk(LOGS, whole=whole), 1.0)]).evidence

    assert whole[found.start : found.end] == found.quote == "They are not shared with third parties."


@pytest.mark.parametrize("sentence", ["No.", "art", "Log"])
def test_a_part_of_a_word_is_not_word_for_word(sentence: str):
    assert judged(sentence, "Nothing parts the logs here.").support != "verbatim"


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        ("On the Enterprise plan, audit logs are kept for 365 days.", "Audit logs are kept for 365 days on the Enterprise plan."),
        ("The fee is 10 per cent.", "The monthly fee is 10 % of sales."),
        ("It holds 1000 rows per table.", "One table holds 1,000 rows."),
        ("The trial lasts two weeks.", "A trial lasts 2 weeks."),
        ("The fund holds 5 million dollars.", "The fund holds 5,000,000 dollars."),
        ("The release was on 5 January 2020.", "The release was on 2020-01-05."),
        ("Sharing isn't possible on Starter.", "Sharing is not possible on Starter."),
        ("Twenty-one days remain.", "There remain 21 days."),
    ],
)
def test_other_forms_of_the_same_are_entailed(sentence: str, text: str):
    assert judged(sentence, text).support in ("entailed", "verbatim")


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        ("Audit logs are kept for 90 days on Enterprise.", "Audit logs are kept for 365 days on Enterprise."),
        ("Audit logs are not kept for 365 days.", "Audit logs are kept for 365 days on Enterprise."),
        ("Logs are shared with third parties.", "Logs are not shared with third parties."),
        ("Logs are shared with third parties.", "Logs are never shared with third parties."),
        ("Starter keeps logs for 365 days.", LOGS),
        (
            "Snapshots are copied to Frankfurt each night by 5 workers.",
            "Snapshots are copied to Frankfurt each night by the workers.",
        ),
        ("Bananas ripen faster beside apples.", LOGS),
    ],
)
def test_another_number_a_denial_or_another_matter_is_unsupported(sentence: str, text: str):
    assert judged(sentence, text).support == "unsupported"


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        ("Backups run in Paris every night.", "Backups run in Berlin every night."),
        ("Her least known role was the maid Rosario.", "Her most known role was the maid Rosario."),
        ("The import must run before the export job.", "The import may run before the export job."),
        ("Only admins rotate the keys of a tenant.", "Admins rotate the keys of a tenant."),
        ("Restart the worker after the upgrade of the server.", "Restart the worker before the upgrade of the server."),
        ("In the final Chelsea beat Arsenal.", "In the final Arsenal beat Chelsea."),
        (
            "Backups of the Berlin office run every single night at three.",
            "Backups of the office run every single night at three.",
        ),
        ("Backups run every single night, never weekly.", "Backups run every single night, weekly on request."),
        (
            "Enterprise customers keep audit logs for 30 days.",
            "Starter customers keep audit logs for 30 days. Enterprise keeps audit logs for 365 days.",
        ),
        (
            "Encrypted backups of the Berlin office run every single night at three and go to cold storage.",
            "Encrypted backups of the office run every single night at three and go to cold storage.",
        ),
        (
            "Encrypted backups run every single night at three and go to cold storage, never tape.",
            "Encrypted backups run every single night at three and go to cold storage.",
        ),
        ("This gives a true impression of the fruit.", "This gives a false impression of the fruit."),
    ],
)
def test_a_swap_or_a_stronger_word_is_never_entailed(sentence: str, text: str):
    assert judged(sentence, text).support in ("partial", "unsupported")


def test_a_word_that_is_denied_here_and_affirmed_there_is_no_contradiction():
    text = "The tenant's admin holds the signing key, not the platform's admin."

    assert judged("The tenant's admin holds the signing key for signing.", text).support != "unsupported"


def test_what_the_headings_say_is_known_in_the_passage():
    text = "It keeps the audit logs for 365 days."
    document = Document(
        document_id("docs", "s/a.md"), "s/a.md", "Enterprise plan", revision_of(text), "f", len(text), (Heading(0, 1, "Plans"),)
    )

    assert (
        judge("Enterprise keeps audit logs for 365 days.", [Passage(1, Chunk(document, 0, len(text), text), 1.0)]).support
        == "entailed"
    )


def test_two_sentences_may_carry_a_claim_but_do_not_lend_each_other_numbers():
    text = "Snapshots are copied to Frankfurt each night. The copies are encrypted with the tenant's key."

    both = judged("Snapshots are copied to Frankfurt each night and the copies are encrypted with the key.", text)

    assert both.support in ("entailed", "partial")
    assert both.evidence[0].quote == text
    assert judged("Enterprise keeps audit logs for 30 days.").support != "entailed"


def test_passages_carry_together_at_most_in_part():
    result = judged(
        "Snapshots move to Frankfurt nightly while invoices go out on Mondays.",
        "Snapshots move to Frankfurt nightly.",
        "All invoices go out on Mondays.",
    )

    assert result.support == "partial"
    assert {one.support for one in result.evidence} == {"partial"}


@pytest.mark.parametrize("sentence", ["", "…", "---", "It is.", "Yes."])
def test_what_holds_no_word_to_look_for_is_unverified(sentence: str):
    assert judged(sentence).support == "unverified"


def test_without_passages_nobody_judges():
    assert judge("Audit logs are kept.", []) == Judgement("unverified", 0.0, ())


def test_text_without_spaces_is_compared_too():
    text = "监控日志保留三百六十五天。备份每晚复制到法兰克福。"

    assert judged("备份每晚复制到法兰克福。", text).support == "verbatim"
    assert judged("每晚备份复制到法兰克福。", text).support in ("entailed", "partial")
    assert judged("香蕉在苹果旁边成熟得更快。", text).support == "unsupported"


WORDS = st.sampled_from("logs are kept not 365 two days Enterprise Frankfurt only . , isn't 1,000 % [12] \n - a".split(" "))
TEXTS = st.lists(WORDS, min_size=1, max_size=25).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(sentence=TEXTS, texts=st.lists(TEXTS, min_size=1, max_size=4, unique=True))
def test_a_verdict_depends_on_nothing_but_its_inputs(sentence: str, texts: list[str]):
    passages = [passage(text, n=n, uri=f"s/{n}.md") for n, text in enumerate(texts, start=1)]

    result = judge(sentence, passages)

    assert judge(sentence, passages) == result
    assert judge(sentence, passages[::-1]) == result, "the order of passages does not matter"
    assert 0 <= result.score <= 1
    for one in result.evidence:
        assert one.quote == one.passage.chunk.text[one.start - one.passage.chunk.start : one.end - one.passage.chunk.start] != ""


@settings(max_examples=200, deadline=None)
@given(text=TEXTS, cut=st.integers(0, 25), more=st.integers(1, 25))
def test_any_run_of_words_of_a_passage_is_verbatim(text: str, cut: int, more: int):
    part = " ".join(text.split()[cut : cut + more])
    if any(char.isalnum() for char in part.replace("[12]", "")):
        assert judged(part, text).support == "verbatim"


def test_the_constants_are_part_of_a_release():
    assert identity()["entailed"] == CONSTANTS.entailed
    assert str(identity()["version"]).startswith("support/")
    json.dumps(identity())


def test_a_sentence_takes_a_few_milliseconds():
    words = LOGS.replace(".", "").split()
    passages = [passage(" ".join(f"{word}{n}" for word in words * 6), n=n, uri=f"s/{n}.md") for n in range(1, 6)]
    judge("A first sentence reads the passages.", passages)
    began = time.perf_counter()
    for i in range(20):
        judge(f"Audit logs of tenant {i} are kept for 365 days on the Enterprise plan.", passages)

    assert (time.perf_counter() - began) / 20 < 0.05, "measured 3 ms; the bound is for busy machines"


def test_public_faithfulness_data_stays_as_good_as_measured(shared_data: Path):
    """Floors a little below what was measured on each source; `entailed` is what must not be given lightly."""
    seen: dict[str, dict[bool, list[str]]] = defaultdict(lambda: {True: [], False: []})
    for line in (shared_data / "faithfulness/faithfulness.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        passages = [passage(text, n=n, uri=f"s/{n}.md") for n, text in enumerate(row["passages"], start=1)]
        verdicts = [judge(row["answer"][a:b], passages) for a, b in spans(row["answer"])]
        weakest = min(verdicts, key=lambda verdict: verdict.score).support
        seen[row["source"]][row["label"] == "supported"].append(weakest)

    def share(source: str, right: bool, *labels: str) -> float:
        return sum(label in labels for label in seen[source][right]) / len(seen[source][right])

    for source, wrong, kept in [("begin-cmu", 0.08, 0.55), ("clapnq-built", 0.06, 0.55), ("halueval-qa-one", 0.08, 0.93)]:
        assert share(source, False, "verbatim", "entailed") < wrong, source
        assert share(source, True, "verbatim", "entailed") > kept, source
    assert share("clapnq-built", False, "unsupported") > 0.6
    assert share("begin-cmu", False, "unsupported") > 0.75
