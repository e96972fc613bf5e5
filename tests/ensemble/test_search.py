"""The search and its cross-fitting, on members of planted quality."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from matinee.contract import FitContext
from matinee.data import Histories, Targets
from matinee.ensemble.ensemble_spec import EnsembleSpec, read_ensemble
from matinee.ensemble.search import Objective, UserContext, search
from matinee.ensemble.weight_searches import WEIGHT_SEARCHES
from matinee.errors import SpecError
from matinee.metrics import compare, evaluate
from matinee.topk import TopK
from tests.ensemble.pools import vocabulary

N_USERS, ITEMS, DEPTH, N_TARGETS = 900, 120, 30, 6
GOAL = Objective("recall@10")
PRODUCT = {"kind": "product", "norms": ["sigmoid", "softmax"]}


def listed(score):
    """The best `DEPTH` of scores (m, n)."""
    item = np.argsort(-score, axis=1, kind="stable")[:, :DEPTH].astype(np.int32)
    best = np.take_along_axis(score, item, 1).astype(np.float32)
    return TopK(np.arange(len(score), dtype=np.int32), item, best, vocabulary(len(score)), vocabulary(score.shape[1]))


def planted(seed):
    """Long-term and short-term preferences, both hidden; half of the targets follow each."""
    rng = np.random.default_rng(seed)
    long_term, short_term = rng.normal(size=(2, N_USERS, ITEMS))
    targets = np.empty((N_USERS, N_TARGETS), dtype=np.int64)
    for r in range(N_USERS):
        static = np.argsort(-long_term[r])[: N_TARGETS // 2]
        targets[r] = np.concatenate(
            [static, np.setdiff1d(np.argsort(-short_term[r])[:N_TARGETS], static)[: N_TARGETS // 2]]
        )
    part = np.tile(np.repeat([0, 1], N_TARGETS // 2), N_USERS)
    vocabularies = (np.arange(N_USERS, dtype=np.int32), vocabulary(N_USERS), vocabulary(ITEMS))
    targets = Targets.from_rows(
        vocabularies[1],
        vocabularies[2],
        vocabularies[0],
        np.repeat(np.arange(N_USERS), N_TARGETS),
        targets.ravel(),
        part,
        ("random", "last"),
    )
    return rng, long_term, short_term, targets


def noisy(rng, truth, sd):
    return listed(truth + sd * rng.normal(size=truth.shape))


def gain(found, members, targets):
    ours, theirs = (evaluate(one, targets, ["recall@10"]) for one in (found.lists, members[found.best]))
    return compare(ours, theirs, "recall@10")


def test_the_result_beats_the_best_member_out_of_fold():
    rng, long_term, short_term, targets = planted(1)
    members = {
        "static": noisy(rng, long_term, 1.0),
        "order": noisy(rng, short_term, 1.0),
        "noise": noisy(rng, 0 * long_term, 1.0),
    }
    found = search(members, targets, read_ensemble({"kind": "greedy"}, "spec"), GOAL)
    gap = gain(found, members, targets)
    assert gap.mean > 0
    assert gap.significant
    assert found.out_of_fold == pytest.approx(evaluate(found.lists, targets, ["recall@10"])["recall@10"])
    weight = dict(zip(found.recipe.members, found.recipe.weight, strict=True))
    assert weight["noise"] < min(weight["static"], weight["order"]) / 3
    for name, value in found.single_model.items():
        assert value == pytest.approx(evaluate(members[name], targets, ["recall@10"])["recall@10"])


@pytest.mark.parametrize("kind", ["greedy", "coordinate_ascent", "listnet", "stacking", "best_subset"])
def test_copies_of_one_model_gain_nothing(kind):
    rng, long_term, _, targets = planted(2)
    one = noisy(rng, long_term, 1.0)
    members = {"a": one, "b": one, "c": one}
    found = search(members, targets, read_ensemble({"kind": kind}, "spec"), GOAL)
    assert gain(found, members, targets).mean == 0.0
    assert found.optimism == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("kind", ["greedy", "coordinate_ascent"])
def test_members_of_pure_noise_have_optimism_and_no_gain(kind):
    """The metric rises on the users of the fit and not on the others."""
    rng, long_term, _, targets = planted(3)
    members = {f"n{i}": noisy(rng, 0 * long_term, 1.0) for i in range(8)}
    found = search(members, targets, read_ensemble({"kind": kind}, "spec"), GOAL)
    gap = gain(found, members, targets)
    assert not gap.significant or gap.mean < 0
    assert 0.002 < found.optimism < 0.03


def test_no_list_depends_on_the_users_own_targets():
    """Other targets for one fold change the recipe of the other folds only."""
    rng, long_term, short_term, targets = planted(4)
    members = {"static": noisy(rng, long_term, 1.0), "order": noisy(rng, short_term, 1.0)}
    spec = read_ensemble({"kind": "coordinate_ascent", "folds": 3}, "spec")
    before = search(members, targets, spec, GOAL)
    item = targets.item.reshape(N_USERS, N_TARGETS).copy()
    in_fold = before.fold == 1
    item[in_fold] = np.sort(
        rng.permuted(np.tile(np.arange(ITEMS), (int(in_fold.sum()), 1)), axis=1)[:, :N_TARGETS], axis=1
    )
    vocabularies = (targets.user, targets.users, targets.items)
    other = Targets.from_rows(
        vocabularies[1],
        vocabularies[2],
        vocabularies[0],
        np.repeat(np.arange(N_USERS), N_TARGETS),
        item.ravel(),
        targets.part,
        targets.parts,
    )
    after = search(members, other, spec, GOAL)
    assert before.folds[1] == after.folds[1]
    assert before.folds[0] != after.folds[0]
    np.testing.assert_array_equal(before.lists.item[in_fold], after.lists.item[in_fold])


@pytest.mark.parametrize(
    "gate", [{"kind": "logit", "max_p_value": 1.0}, {"kind": "segments", "feature": "length", "max_p_value": 1.0}]
)
def test_a_gate_is_not_fitted_on_its_evaluation_fold(gate):
    """Other targets for one fold change the gates of the other folds only; the weights before the gate are fixed."""
    rng, long_term, short_term, targets = planted(9)
    members = {"static": noisy(rng, long_term, 1.0), "order": noisy(rng, short_term, 1.0)}
    length = rng.integers(1, 40, N_USERS)
    query = Histories.of([rng.integers(0, ITEMS, n).tolist() for n in length], targets.items)
    context = UserContext(
        replace(query, user=targets.user, users=targets.users), rng.integers(1, 50, ITEMS), real_time=False
    )
    spec = read_ensemble({"kind": "fixed", "folds": 3, "gate": gate}, "spec")
    before = search(members, targets, spec, GOAL, context)
    row = np.repeat(np.arange(N_USERS), N_TARGETS)
    in_fold = before.fold == 1
    best = np.argsort(-short_term, axis=1)[:, :N_TARGETS].ravel()
    item = np.where(in_fold[row] & (length[row] > 20), best, targets.item)
    vocabularies = (targets.user, targets.users, targets.items)
    other = Targets.from_rows(vocabularies[1], vocabularies[2], vocabularies[0], row, item, targets.part, targets.parts)
    after = search(members, other, spec, GOAL, context)
    assert before.folds[1].gate is not None
    assert before.folds[1] == after.folds[1]
    assert before.folds[0] != after.folds[0]
    np.testing.assert_array_equal(before.lists.item[in_fold], after.lists.item[in_fold])


def test_more_folds_than_half_the_users_are_refused():
    rng, long_term, _, targets = planted(10)
    members = {"static": noisy(rng, long_term, 1.0), "noise": noisy(rng, 0 * long_term, 1.0)}
    with pytest.raises(SpecError, match="folds = 451 for 900 users; expected at most 450"):
        search(members, targets, read_ensemble({"kind": "fixed"}, "spec").model_copy(update={"folds": 451}), GOAL)


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "quota", "quotas": [5, 3, 2]},
        {"kind": "product", "norms": ["sigmoid", "min_max", "softmax"]},
        {"kind": "product"},
        "consensus_first",
        "rrf",
    ],
)
def test_members_of_weight_0_are_not_required(rule):
    rng, long_term, short_term, targets = planted(11)
    members = {name: noisy(rng, truth, 1.0) for name, truth in (("a", long_term), ("b", long_term), ("c", short_term))}
    found = search(members, targets, read_ensemble({"kind": "fixed", "weight": [1, 0, 1], "rule": rule}, "spec"), GOAL)
    assert found.recipe.required_members == ("a", "c")
    again = found.recipe.fuse({"a": members["a"], "c": members["c"]}, 10)
    np.testing.assert_array_equal(again.item, found.lists.item)


def test_out_of_fold_lists_are_those_of_the_fold_recipes():
    rng, long_term, short_term, targets = planted(5)
    members = {"static": noisy(rng, long_term, 1.0), "order": noisy(rng, short_term, 1.5)}
    spec = read_ensemble(
        {"kind": "greedy", "bags": 0, "folds": 3, "rules": ["rrf", "borda"], "depths": [10, 30]}, "spec"
    )
    found = search(members, targets, spec, GOAL)
    assert sorted(np.bincount(found.fold)) == [300, 300, 300]
    for f, recipe in enumerate(found.folds):
        again = recipe.fuse(members, 10)
        np.testing.assert_array_equal(again.item[found.fold == f], found.lists.item[found.fold == f])


def test_rule_and_depth_are_part_of_the_search():
    """A rule that reads deep lists wins over a vote for the first item."""
    rng, long_term, short_term, targets = planted(6)
    members = {"static": noisy(rng, long_term, 0.7), "order": noisy(rng, short_term, 0.7)}
    table = {"kind": "greedy", "bags": 0, "rules": [{"kind": "top_n_vote", "top": 1}, "rrf"], "depths": [2, 30]}
    found = search(members, targets, read_ensemble(table, "spec"), GOAL)
    assert found.recipe.rule.kind == "rrf"
    assert found.recipe.depth == 30


def test_same_seed_same_result():
    rng, long_term, short_term, targets = planted(7)
    members = {
        "static": noisy(rng, long_term, 1.0),
        "order": noisy(rng, short_term, 1.0),
        "more": noisy(rng, short_term, 2.0),
    }
    one, two, other = (
        search(members, targets, read_ensemble({"kind": "greedy"}, "spec"), GOAL, ctx=FitContext(seed=s))
        for s in (3, 3, 4)
    )
    assert one.recipe == two.recipe
    assert (one.fold == two.fold).all()
    assert (one.fold != other.fold).any()


def test_known_combinations_are_one_line_each():
    rng, long_term, short_term, targets = planted(8)
    members = {"static": noisy(rng, long_term, 1.0), "order": noisy(rng, short_term, 1.0)}
    lines = [
        {"kind": "fixed", "rule": "top_n_vote"},
        {"kind": "fixed", "rule": "dcg_points"},
        {"kind": "fixed", "weight": [1, 0.7], "rule": "dcg_points"},
        {"kind": "best_subset"},
        {"kind": "fixed", "rule": "two_tier"},
        {"kind": "fixed", "rule": "linear_rank"},
        {"kind": "fixed", "rule": PRODUCT},
        {"kind": "fixed", "rule": {"kind": "quota", "quotas": [7, 3]}},
        {"kind": "fixed", "rule": "consensus_first"},
    ]
    single = max(evaluate(one, targets, ["recall@10"])["recall@10"] for one in members.values())
    for table in lines:
        found = search(members, targets, read_ensemble(table, "spec"), GOAL)
        assert found.in_sample == pytest.approx(found.out_of_fold, abs=0.02)
        assert (found.lists.length == 10).all()
        if table.get("rule") not in (PRODUCT, "consensus_first"):  # rules that need agreement
            assert found.out_of_fold > single, table


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"kind": "gredy"}, "did you mean 'greedy'"),
        ({"kind": "greedy", "bag": 3}, "did you mean 'bags'"),
        ({"kind": "greedy", "rule": "rff"}, "did you mean 'rrf'"),
        ({"kind": "greedy", "rule": "rrf", "rules": ["rrf"]}, "both rule and rules"),
        ({"kind": "greedy", "rule": "quota"}, "rules that add points"),
        ({"kind": "greedy", "folds": 1}, "folds"),
        ({"kind": "fixed", "rule": "quota", "gate": "logit"}, "rules that add points"),
        ({"kind": "greedy", "gate": "logits"}, "did you mean 'logit'"),
    ],
)
def test_invalid_specs_are_refused(table, complaint):
    from matinee.errors import MatineeError

    with pytest.raises(MatineeError, match=complaint):
        read_ensemble(table, "exp.toml: ensemble")


def test_a_spec_survives_to_dict():
    table = {
        "kind": "coordinate_ascent",
        "rounds": 2,
        "rules": ["rrf", {"kind": "top_n_vote", "top": 3}],
        "depth": 20,
        "gate": "segments",
    }
    spec = read_ensemble(table, "spec")
    assert read_ensemble(spec.to_dict(), "spec") == spec
    with pytest.raises(SpecError):
        read_ensemble({**table, "rounds": 0}, "spec")


def test_no_option_of_a_weight_search_is_hidden_by_the_spec():
    """Both are keys of one table of a file."""
    for kind in WEIGHT_SEARCHES.names():
        assert not set(WEIGHT_SEARCHES.get(kind).model_fields) & {*EnsembleSpec.model_fields, "rule", "depth"}, kind
