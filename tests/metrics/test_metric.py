"""The notation of metrics: parsing, printing, refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.errors import SpecError, UnknownNameError
from matinee.metrics import Metric, WeightedMetric, names, parse
from matinee.metrics.profile import per_user_names


def test_a_metric_is_a_value():
    assert parse("recall@10") == WeightedMetric(((1.0, Metric("recall", 10)),))
    assert str(Metric("recall", 10)) == "recall@10"
    assert len({parse("recall@10"), parse(" Recall @ 10 "), parse("1.0*recall@10")}) == 1


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0.75*recall@25+0.25*ndcg@25", "0.75*recall@25+0.25*ndcg@25"),
        (" .75 * recall@25 + 2.5e-1*NDCG@25 ", "0.75*recall@25+0.25*ndcg@25"),
        ("recall@10+ndcg@10", "recall@10+ndcg@10"),
        ("0.5*recall@10 + 0.5*recall@10", "recall@10"),
        ("2*map@5", "2*map@5"),
        ("1e+2*map@5+1e-7*mrr@3", "100*map@5+1e-07*mrr@3"),
        ("coverage@10", "coverage@10"),
    ],
)
def test_printed_back(text: str, canonical: str):
    assert str(parse(text)) == canonical
    assert parse(canonical) == parse(text)


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(per_user_names()), st.integers(1, 1000)),
        st.floats(1e-12, 1e12),
        min_size=1,
        max_size=5,
    )
)
def test_round_trip(terms: dict[tuple[str, int], float]):
    blend = WeightedMetric(tuple((weight, Metric(*key)) for key, weight in terms.items()))
    assert parse(str(blend)) == blend


def test_unknown_names_offer_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'recall'"):
        parse("recal@10")
    with pytest.raises(UnknownNameError, match="did you mean 'ndcg'"):
        parse("0.5*recall@10+0.5*ncdg@10")


@pytest.mark.parametrize(
    "text", ["", "recall", "recall@", "recall@ten", "recall@10+", "+recall@10", "-1*recall@10", "recall@10 ndcg@10"]
)
def test_bad_syntax(text: str):
    with pytest.raises(SpecError, match="cannot read"):
        parse(text)


@pytest.mark.parametrize("text", ["recall@0", "0*recall@10", "0.5*recall@10+0.5*coverage@10", "0.5*gini@10"])
def test_refused(text: str):
    with pytest.raises(SpecError):
        parse(text)


def test_names_are_computed():
    assert names() == sorted(["coverage", "gini", "hit", "map", "mrr", "ndcg", "popularity", "precision", "recall"])
    for name in names():
        assert str(parse(f"{name}@3")) == f"{name}@3"
