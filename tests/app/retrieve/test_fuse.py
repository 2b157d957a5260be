import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.retrieve.fuse import SPREAD, WORDS, Scores, fuse

COSINES = st.floats(-1, 1, width=32, allow_subnormal=False)
SHARES = st.floats(0, 4, width=32, allow_subnormal=False)


@st.composite
def sides(draw: st.DrawFn) -> tuple[Scores, Scores]:
    size = draw(st.integers(0, 12))
    return draw(arrays(np.float32, size, elements=COSINES)), draw(arrays(np.float32, size, elements=SHARES))


def scores(*values: float) -> Scores:
    return np.array(values, dtype=np.float32)


def order(fused: Scores) -> list[int]:
    return np.argsort(-fused, kind="stable").tolist()


def test_words_decide_where_a_passage_holds_most_of_them():
    assert order(fuse(scores(0.5, 0.4), scores(0.3, 0.9))) == [1, 0]


def test_cosines_decide_where_no_passage_holds_many():
    # Stretched to their ranges, the sides would tie here as they do above.
    assert order(fuse(scores(0.5, 0.4), scores(0.1, 0.25))) == [0, 1]


def test_it_is_in_units_of_the_cosine():
    np.testing.assert_allclose(fuse(scores(0.4), scores(1.0)), [0.4 + WORDS], rtol=1e-6)


def test_an_embedder_with_little_spread_has_its_say():
    narrow = scores(0.86, 0.83)

    assert order(fuse(narrow, scores(0.4, 0.5))) == [1, 0]
    assert order(fuse(narrow, scores(0.4, 0.5), spread=0.03)) == [0, 1]


@given(sides())
def test_scores_are_finite_and_one_each(given_sides: tuple[Scores, Scores]):
    fused = fuse(*given_sides)

    assert fused.shape == given_sides[0].shape
    assert fused.dtype == np.float32
    assert np.isfinite(fused).all()


@given(sides())
def test_a_side_that_knows_nothing_leaves_the_other_its_order(given_sides: tuple[Scores, Scores]):
    dense, lexical = given_sides
    nothing = np.zeros_like(dense)

    assert order(fuse(dense, nothing)) == order(dense)
    assert order(fuse(nothing, lexical)) == order(lexical)


@given(sides(), st.floats(0.01, 1))
def test_more_on_one_side_is_never_less(given_sides: tuple[Scores, Scores], more: float):
    dense, lexical = given_sides
    fused = fuse(dense, lexical)

    assert (fuse(dense + np.float32(more), lexical) >= fused).all()
    assert (fuse(dense, lexical + np.float32(more)) >= fused).all()


@given(sides())
def test_a_score_depends_on_no_other_candidate(given_sides: tuple[Scores, Scores]):
    dense, lexical = given_sides

    alone = [float(fuse(dense[i : i + 1], lexical[i : i + 1])[0]) for i in range(len(dense))]

    assert fuse(dense, lexical).tolist() == alone


def test_equals_tie():
    fused = fuse(scores(0.3, 0.3, 0.3), scores(0.2, 0.2, 0.2), spread=SPREAD)

    assert len(set(fused.tolist())) == 1
