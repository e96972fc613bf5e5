"""The mask is checked once, before any compiled loop; raw ids have a way in; wrong arguments are refused by name."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csc_array, csr_array

from matinee.contract import Mask
from matinee.data import Histories, Vocabulary
from matinee.errors import DataError, SpecError
from matinee.explain import explain
from matinee.fitted import ItemItem, PopularityScorer
from matinee.metrics import evaluate
from matinee.models.item_knn import ItemKNN
from matinee.models.popularity import Popularity
from matinee.topk import recommend
from tests.logs import random_log

LOG = random_log()
N = LOG.n_items
WEIGHTS = np.random.default_rng(0).random((N, N), dtype=np.float32)
PRIOR = np.arange(N, 0, -1).astype(np.float32)
MODELS = [ItemItem(ItemKNN(), LOG.items, WEIGHTS, PRIOR), PopularityScorer(Popularity(), LOG.items, PRIOR)]
EVERYBODY = LOG.histories()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "available",
    [["1", "2"], np.ones(5, dtype=np.bool_), np.array([1, 2, 3]), np.ones(N, dtype=np.int8), [True] * N],
)
def test_wrong_available_is_refused(model, available):
    with pytest.raises(SpecError, match=rf"mask\.available: found .*bool with the shape \({N},\).*Mask\.only"):
        recommend(model, EVERYBODY, 3, Mask(available=available))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "candidates",
    [csr_array(np.ones((2, N))), csr_array(np.ones((LOG.n_users, 5))), csc_array(np.ones((LOG.n_users, N))), [[1]]],
)
def test_wrong_candidates_are_refused(model, candidates):
    with pytest.raises(SpecError, match=rf"mask\.candidates: found .*csr_array of the shape \({LOG.n_users}, {N}\)"):
        recommend(model, EVERYBODY, 3, Mask(candidates=candidates))


def test_damaged_candidates_are_refused():
    offered = csr_array(np.ones((LOG.n_users, N), dtype=np.float32))
    offered.indices[7] = N
    with pytest.raises(DataError, match=rf"mask\.candidates\.indices: found the code {N} at position 7"):
        recommend(MODELS[0], EVERYBODY, 3, Mask(candidates=offered))


@pytest.mark.parametrize(("columns", "value"), [([1, 1], [1, 1]), ([2, 1], [1, 1]), ([1, 2], [1, 0])])
def test_candidates_that_repeat_or_are_zero_are_refused(columns, value):
    """A repeat would be listed twice, and a stored zero is no candidate."""
    offered = csr_array((np.array(value), np.array(columns), np.array([0, 2])), shape=(1, N))
    with pytest.raises(SpecError, match=r"mask\.candidates: found stored zeros, repeats or unsorted columns.*sum_dup"):
        recommend(MODELS[1], EVERYBODY.rows(0, 1), 3, Mask(candidates=offered))
    offered.sum_duplicates()
    offered.eliminate_zeros()
    lists = recommend(MODELS[1], EVERYBODY.rows(0, 1), 3, Mask(seen=False, candidates=offered))
    assert lists.length[0] == len(offered.indices)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("ids", [[5003, 5007, 5007], np.array([5003, 5007]), pl.Series([5003, 5007]), ["5003", 5007]])
def test_raw_ids_allow_or_bar(model, ids):
    only, without = Mask.only(ids, LOG.items, seen=False), Mask.without(ids, LOG.items, seen=False)
    assert set(recommend(model, EVERYBODY, 5, only).item.ravel().tolist()) == {3, 7, -1}
    listed = recommend(model, EVERYBODY, N, without)
    assert (listed.length == N - 2).all()
    assert not {3, 7} & set(listed.item.ravel().tolist())
    assert Mask.only(ids, LOG.items).seen


def test_unknown_ids_are_refused_by_name():
    with pytest.raises(SpecError, match=r"Mask\.only: found the unknown ids 1, 2, 3 and 2 more; expected ids among"):
        Mask.only([1, 5003, 2, 3, 4, 5], LOG.items)
    with pytest.raises(SpecError, match=r"Mask\.without: found the unknown ids 'NEW'; expected"):
        Mask.without(["a", "NEW"], Vocabulary.of(["a", "b"]))
    with pytest.raises(SpecError, match="found the text 'ab'; expected a list"):
        Mask.only("ab", Vocabulary.of(["a", "b"]))
    assert not Mask.only([], LOG.items).available.any()


def test_users_without_a_history_get_available_items_alone():
    """The prior that ranks for them passes the mask, on the dense and on the sparse path."""
    model = MODELS[0]
    available = np.arange(N) % 5 == 4
    for weights in (WEIGHTS, csr_array(np.eye(N, dtype=np.float32))):
        one = ItemItem(model.spec, model.items, weights, model.popularity)
        lists = recommend(one, Histories.of([[], [0], []], LOG.items), 4, Mask(available=available))
        assert lists.item[0].tolist() == lists.item[2].tolist() == [4, 9, 14, 19]
        assert available[lists.item[1]].all()


def test_wrong_arguments_are_refused_by_name():
    model = MODELS[0]
    frame = pl.DataFrame({"user": [1], "item": [2]})
    with pytest.raises(SpecError, match=r"recommend: fitted: found ItemKNN; expected a trained model\. .*spec\.fit"):
        recommend(ItemKNN(), LOG)
    with pytest.raises(SpecError, match="recommend: fitted: found Interactions"):
        recommend(LOG, model)
    for wrong in (frame, [12347], "12347"):
        with pytest.raises(SpecError, match=rf"recommend: histories: found {type(wrong).__name__}; .*from_raw"):
            recommend(model, wrong)
    with pytest.raises(SpecError, match="recommend: mask: found ndarray"):
        recommend(model, LOG, 3, np.ones(N, dtype=np.bool_))
    lists = recommend(model, LOG, 3)
    with pytest.raises(SpecError, match="evaluate: found DataFrame and TopK; expected TopK and Targets"):
        evaluate(frame, lists, ["recall@3"])
    with pytest.raises(SpecError, match="explain: found Histories and str"):
        explain(model, EVERYBODY.rows(0, 1), "5003")
    with pytest.raises(SpecError, match="its items are not those of the model"):
        explain(model, Histories.of([[0]], Vocabulary.of([1, 2])), 0)


@pytest.mark.parametrize("wrong", [pl.DataFrame(), "ratings.csv", EVERYBODY])
def test_models_fit_logs_alone(wrong):
    for spec in (ItemKNN(), Popularity()):
        with pytest.raises(SpecError, match=rf"\.fit: found {type(wrong).__name__}; expected Interactions\. Read"):
            spec.fit(wrong)
