"""Reranking: a real cross-encoder of sentence-transformers, small and untrained, from a folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from app.core import snapshot
from app.core.embed import find_embedder
from app.core.errors import Misconfigured, ModelBadResponse
from app.retrieve import CrossEncoder, Retriever
from app.retrieve.dense import Scores
from app.retrieve.rerank import reranked
from tests import indexes
from tests.app.build import hit

QUESTION = "Where are the logs kept?"
TEXTS = {
    f"p{n}": text for n, text in enumerate(["Logs are kept in Oslo.", "Cats sleep.", "The gate opens at six.", "Keep logs."])
}


class ByLength:
    """Knows nothing but length."""

    identity: ClassVar[dict[str, object]] = {"name": "length", "weights": ""}

    def __call__(self, question: str, texts: Sequence[str]) -> Scores:
        return np.array([len(text) for text in texts], dtype=np.float32)


class Wrong(ByLength):
    """Gives what it was told to give."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = np.array(scores, dtype=np.float32)

    def __call__(self, question: str, texts: Sequence[str]) -> Scores:
        return self.scores


def opened(root: Path) -> snapshot.Snapshot:
    return snapshot.compose(root, "docs", indexes.parts(root, TEXTS), built_with=indexes.BUILT_WITH, notes=indexes.NOTES)


def test_the_best_hits_are_ordered_anew_and_cut_afterwards(tmp_path: Path):
    made = opened(tmp_path)
    plain = Retriever(made, indexes.embed, indexes.EMBEDDER)
    retriever = Retriever(made, indexes.embed, indexes.EMBEDDER, rerank=ByLength())

    found = retriever.search(QUESTION, k=2)

    assert [h.chunk.document.uri for h in found] == ["p0", "p2"]
    assert [h.score for h in found] == [len(f"{uri}\n{TEXTS[uri]}") for uri in ("p0", "p2")]
    assert {h.chunk.document.uri: h.cosine for h in found}["p2"] == {
        h.chunk.document.uri: h.cosine for h in plain.search(QUESTION, k=4)
    }["p2"]
    assert retriever.search(QUESTION, k=4, way="fused") == plain.search(QUESTION, k=4)
    assert reranked(QUESTION, [], ByLength()) == []


@pytest.mark.parametrize("scores", [[1.0, float("nan")], [float("inf"), 1.0], [1.0]])
def test_scores_that_are_none_are_an_error_and_no_order(scores: list[float]):
    with pytest.raises(ModelBadResponse, match="no usable scores"):
        reranked(QUESTION, [hit("a", uri="a"), hit("b", uri="b")], Wrong(scores))


def test_a_folder_without_a_model_is_named(tmp_path: Path):
    with pytest.raises(Misconfigured, match="reranker"):
        CrossEncoder(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("labels", [1, 3])
def test_a_cross_encoder_scores_pairs_and_says_what_it_is(tmp_path: Path, labels: int):
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(str(find_embedder("minilm").folder), local_files_only=True)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=labels,
    )
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    if labels != 1:
        with pytest.raises(Misconfigured, match="3 scores for a pair"):
            CrossEncoder(tmp_path / "tiny")
        return

    rerank = CrossEncoder(tmp_path / "tiny")

    scores = rerank(QUESTION, [*TEXTS.values()])
    with torch.no_grad():
        pairs = tokenizer([QUESTION] * len(TEXTS), [*TEXTS.values()], padding=True, return_tensors="pt")
        expected = torch.sigmoid(model(**pairs).logits).reshape(-1).numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert rerank.identity["name"] == "tiny"
    assert rerank.identity["weights"] != ""
