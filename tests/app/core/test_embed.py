import subprocess
import sys

import numpy as np
import pytest

from app.core.embed import Embedder, Pieces, find_embedder, unit
from app.core.errors import Misconfigured
from tests.conftest import QUESTION

TEXTS = ["", "x", QUESTION, "Logs are kept. " * 200, "Größe 😀 数据 " * 5, "short"]


def test_vectors_have_length_one_and_do_not_depend_on_their_neighbours(embedder: Embedder):
    together = embedder(TEXTS)

    assert together.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for text, row in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(embedder([text])[0], row, atol=1e-6)


def test_no_text_gives_no_rows(embedder: Embedder):
    assert embedder([]).shape == (0, 384)


def test_word_pieces_have_exact_ranges_and_long_text_is_counted_whole(embedder: Embedder):
    text = "Unbelievable gateways. " * 300

    offsets = embedder.pieces.offsets(text)

    assert len(offsets) > 1000  # the model reads 256; counting must not stop there
    assert [text[a:b] for a, b in offsets[:3]] == ["Unbelievable", "gateway", "s"]


def test_the_file_of_the_embedder_is_part_of_its_identity():
    identity = find_embedder("minilm").identity

    assert (identity.dim, identity.max_pieces) == (384, 256)
    assert identity.weights.startswith("53aa51172d142c89")


def test_an_unknown_embedder_says_what_there_is():
    with pytest.raises(Misconfigured, match="neither `minilm` nor a folder"):
        find_embedder("bert-of-my-dreams")


def test_a_zero_row_stays_zero():
    assert unit(np.zeros((1, 3), np.float32)).tolist() == [[0, 0, 0]]


@pytest.mark.slow
def test_onnx_equals_torch_within_a_millionth(embedder: Embedder):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(find_embedder("minilm").folder), device="cpu")

    np.testing.assert_allclose(embedder(TEXTS), model.encode(TEXTS, convert_to_numpy=True), atol=1e-6)
    assert Pieces(find_embedder("minilm")).encoder.truncation["max_length"] == model.max_seq_length


def test_embedding_a_question_imports_neither_torch_nor_transformers(cache_dir):
    code = (
        "import sys; from pathlib import Path; from app.core.embed import Embedder, find_embedder;"
        f"Embedder(find_embedder('minilm'), cache_dir=Path({str(cache_dir)!r}))(['x']);"
        "print({'torch', 'transformers', 'sentence_transformers', 'litellm'} & set(sys.modules))"
    )
    from app.core.config import CHECKOUT

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CHECKOUT)

    assert done.stdout.strip() == "set()"
