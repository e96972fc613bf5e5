"""Published numbers of graph filters and PureSVD on published splits."""

from __future__ import annotations

import pytest

from tests.test_published import DATA, gowalla, ncf, scored

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason="the research data is not beside the project"),
]


def test_pure_svd_on_movielens_1m_with_99_negatives():
    """Dacrema et al. print HR@10 .6937, NDCG@10 .4303; 48 factors were chosen on one item a user held out of learn."""
    hit, ndcg = scored(ncf(), "pure_svd", 10, ["hit@10", "ndcg@10"], factors=48, scaling=0.0)
    assert hit == pytest.approx(0.6922, abs=0.0015)
    assert ndcg == pytest.approx(0.4296, abs=0.0015)


@pytest.mark.slow
def test_gf_cf_on_gowalla():
    """BARS prints Recall@20 .1849, NDCG@20 .1518 for 256 factors, α = 0.3."""
    names = ["recall@20", "ndcg@20"]
    recall, ndcg = scored(gowalla(), "gf_cf", 20, names, low_pass=0.3, factors=256)
    assert recall == pytest.approx(0.1849, abs=0.0003)
    assert ndcg == pytest.approx(0.1518, abs=0.0003)


@pytest.mark.slow
def test_turbo_cf_on_gowalla():
    """The authors' settings; their code gives .1830/.1513 here, the paper prints .1835/.1531."""
    names = ["recall@20", "ndcg@20"]
    recall, ndcg = scored(gowalla(), "turbo_cf", 20, names, alpha=0.6, power=0.7, filter="linear")
    assert recall == pytest.approx(0.1830, abs=0.0002)
    assert ndcg == pytest.approx(0.1513, abs=0.0002)
