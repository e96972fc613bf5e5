"""The search and its honesty, on members whose worth is planted."""

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

PEOPLE, ITEMS, DEPTH, TAKEN = 900, 120, 30, 6
GOAL = Objective("recall@10")
PRODUCT = {"kind": "product", "norms": ["sigmoid", "softmax"]}


def listed(score):
    """The best `DEPTH` of scores (m, n)."""
    item = np.argsort(-score, axis=1, kind="stable")[:, :DEPTH].astype(np.int32)
    best = np.take_along_axis(score, item, 1).astype(np.float32)
    return TopK(np.arange(len(score), dtype=np.int32), item, best, vocabulary(len(score)), vocabulary(score.shape[1]))


def planted(seed):
    """Taste and habit, both unseen; what people take next is half one, half the other."""
    rng = np.random.default_rng(seed)
    taste, habit = rng.normal(size=(2, PEOPLE, ITEMS))
    answer = np.empty((PEOPLE, TAKEN), dtype=np.int64)
    for r in range(PEOPLE):
        static = np.argsort(-taste[r])[: TAKEN // 2]
        answer[r] = np.concatenate([static, np.setdiff1d(np.argsort(-habit[r])[:TAKEN], static)[: TAKEN // 2]])
    part = np.tile(np.repeat([0, 1], TAKEN // 2), PEOPLE)
    answers = Targets.from_rows(
        vocabulary(PEOPLE),
        vocabulary(ITEMS),
        np.arange(PEOPLE, dtype=np.int32),
        np.repeat(np.arange(PEOPLE), TAKEN),
        answer.ravel(),
        part,
        ("random", "last"),
    )
    return rng, taste, habit, answers


def noisy(rng, truth, sd):
    return listed(truth + sd * rng.normal(size=truth.shape))


def gain(found, members, answers):
    ours, theirs = (evaluate(one, answers, ["recall@10"]) for one in (found.lists, members[found.best]))
    return compare(ours, theirs, "recall@10")


def test_what_is_found_beats_the_best_member_on_people_who_had_no_part_in_it():
    rng, taste, habit, answers = planted(1)
    members = {"static": noisy(rng, taste, 1.0), "order": noisy(rng, habit, 1.0), "noise": noisy(rng, 0 * taste, 1.0)}
    found = search(members, answers, read_ensemble({"kind": "greedy"}, "plan"), GOAL)
    gap = gain(found, members, answers)
    assert gap.mean > 0
    assert gap.significant
    assert found.out_of_fold == pytest.approx(evaluate(found.lists, answers, ["recall@10"])["recall@10"])
    weight = dict(zip(found.recipe.members, found.recipe.weight, strict=True))
    assert weight["noise"] < min(weight["static"], weight["order"]) / 3
    for name, value in found.single_model.items():
        assert value == pytest.approx(evaluate(members[name], answers, ["recall@10"])["recall@10"])


@pytest.mark.parametrize("kind", ["greedy", "coordinate_ascent", "listnet", "stacking", "best_subset"])
def test_copies_of_one_model_gain_nothing(kind):
    rng, taste, _, answers = planted(2)
    one = noisy(rng, taste, 1.0)
    members = {"a": one, "b": one, "c": one}
    found = search(members, answers, read_ensemble({"kind": kind}, "plan"), GOAL)
    assert gain(found, members, answers).mean == 0.0
    assert found.optimism == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("kind", ["greedy", "coordinate_ascent"])
def test_among_members_of_pure_noise_what_seems_a_gain_is_selection(kind):
    """The metric on the people the weights were found on rises; on the others it does not."""
    rng, taste, _, answers = planted(3)
    members = {f"n{i}": noisy(rng, 0 * taste, 1.0) for i in range(8)}
    found = search(members, answers, read_ensemble({"kind": kind}, "plan"), GOAL)
    gap = gain(found, members, answers)
    assert not gap.significant or gap.mean < 0
    assert 0.002 < found.optimism < 0.03


def test_nobodys_list_depends_on_their_own_answers():
    """Other answers for one fold change the recipe of the other folds only."""
    rng, taste, habit, answers = planted(4)
    members = {"static": noisy(rng, taste, 1.0), "order": noisy(rng, habit, 1.0)}
    plan = read_ensemble({"kind": "coordinate_ascent", "folds": 3}, "plan")
    before = search(members, answers, plan, GOAL)
    item = answers.item.reshape(PEOPLE, TAKEN).copy()
    mine = before.fold == 1
    item[mine] = np.sort(rng.permuted(np.tile(np.arange(ITEMS), (int(mine.sum()), 1)), axis=1)[:, :TAKEN], axis=1)
    other = Targets.from_rows(
        answers.users,
        answers.items,
        answers.user,
        np.repeat(np.arange(PEOPLE), TAKEN),
        item.ravel(),
        answers.part,
        answers.parts,
    )
    after = search(members, other, plan, GOAL)
    assert before.folds[1] == after.folds[1]
    assert before.folds[0] != after.folds[0]
    np.testing.assert_array_equal(before.lists.item[mine], after.lists.item[mine])


@pytest.mark.parametrize("gate", [{"kind": "logit", "sure": 1.0}, {"kind": "segments", "trait": "length", "sure": 1.0}])
def test_a_gate_is_not_fitted_on_the_fold_it_is_judged_on(gate):
    """Other answers for one fold change the gates of the other folds only; the weights before the gate are fixed."""
    rng, taste, habit, answers = planted(9)
    members = {"static": noisy(rng, taste, 1.0), "order": noisy(rng, habit, 1.0)}
    length = rng.integers(1, 40, PEOPLE)
    ask = Histories.of([rng.integers(0, ITEMS, n).tolist() for n in length], answers.items)
    people = UserContext(
        replace(ask, user=answers.user, users=answers.users), rng.integers(1, 50, ITEMS), real_time=False
    )
    plan = read_ensemble({"kind": "fixed", "folds": 3, "gate": gate}, "plan")
    before = search(members, answers, plan, GOAL, people)
    row = np.repeat(np.arange(PEOPLE), TAKEN)
    mine = before.fold == 1
    best = np.argsort(-habit, axis=1)[:, :TAKEN].ravel()
    item = np.where(mine[row] & (length[row] > 20), best, answers.item)
    other = Targets.from_rows(answers.users, answers.items, answers.user, row, item, answers.part, answers.parts)
    after = search(members, other, plan, GOAL, people)
    assert before.folds[1].gate is not None
    assert before.folds[1] == after.folds[1]
    assert before.folds[0] != after.folds[0]
    np.testing.assert_array_equal(before.lists.item[mine], after.lists.item[mine])


def test_more_folds_than_half_the_users_are_refused():
    rng, taste, _, answers = planted(10)
    members = {"static": noisy(rng, taste, 1.0), "noise": noisy(rng, 0 * taste, 1.0)}
    with pytest.raises(SpecError, match="folds = 451 for 900 users; expected at most 450"):
        search(members, answers, read_ensemble({"kind": "fixed", "folds": 451}, "plan"), GOAL)


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
def test_members_of_weight_0_are_not_needed_to_make_the_lists_again(rule):
    rng, taste, habit, answers = planted(11)
    members = {name: noisy(rng, truth, 1.0) for name, truth in (("a", taste), ("b", taste), ("c", habit))}
    found = search(members, answers, read_ensemble({"kind": "fixed", "weight": [1, 0, 1], "rule": rule}, "plan"), GOAL)
    assert found.recipe.required_members == ("a", "c")
    again = found.recipe.fuse({"a": members["a"], "c": members["c"]}, 10)
    np.testing.assert_array_equal(again.item, found.lists.item)


def test_everybodys_list_is_that_of_the_recipe_found_without_them():
    rng, taste, habit, answers = planted(5)
    members = {"static": noisy(rng, taste, 1.0), "order": noisy(rng, habit, 1.5)}
    plan = read_ensemble(
        {"kind": "greedy", "bags": 0, "folds": 3, "rules": ["rrf", "borda"], "depths": [10, 30]}, "plan"
    )
    found = search(members, answers, plan, GOAL)
    assert sorted(np.bincount(found.fold)) == [300, 300, 300]
    for f, recipe in enumerate(found.folds):
        again = recipe.fuse(members, 10)
        np.testing.assert_array_equal(again.item[found.fold == f], found.lists.item[found.fold == f])


def test_rule_and_depth_are_part_of_the_search():
    """An order that is only right from rank 11 on can be used by a rule that looks so deep."""
    rng, taste, habit, answers = planted(6)
    members = {"static": noisy(rng, taste, 0.7), "order": noisy(rng, habit, 0.7)}
    table = {"kind": "greedy", "bags": 0, "rules": [{"kind": "top_n_vote", "top": 1}, "rrf"], "depths": [2, 30]}
    found = search(members, answers, read_ensemble(table, "plan"), GOAL)
    assert found.recipe.rule.kind == "rrf"
    assert found.recipe.depth == 30


def test_the_same_seed_finds_the_same():
    rng, taste, habit, answers = planted(7)
    members = {"static": noisy(rng, taste, 1.0), "order": noisy(rng, habit, 1.0), "more": noisy(rng, habit, 2.0)}
    one, two, other = (
        search(members, answers, read_ensemble({"kind": "greedy"}, "plan"), GOAL, ctx=FitContext(seed=s))
        for s in (3, 3, 4)
    )
    assert one.recipe == two.recipe
    assert (one.fold == two.fold).all()
    assert (one.fold != other.fold).any()


def test_what_the_seeds_did_is_a_line_each():
    rng, taste, habit, answers = planted(8)
    members = {"static": noisy(rng, taste, 1.0), "order": noisy(rng, habit, 1.0)}
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
    alone = max(evaluate(one, answers, ["recall@10"])["recall@10"] for one in members.values())
    for table in lines:
        found = search(members, answers, read_ensemble(table, "plan"), GOAL)
        assert found.in_sample == pytest.approx(found.out_of_fold, abs=0.02)
        assert (found.lists.length == 10).all()
        if table.get("rule") not in (PRODUCT, "consensus_first"):  # which ask members to agree: here they cannot
            assert found.out_of_fold > alone, table


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"kind": "gredy"}, "did you mean 'greedy'"),
        ({"kind": "greedy", "bag": 3}, "did you mean 'bags'"),
        ({"kind": "greedy", "rule": "rff"}, "did you mean 'rrf'"),
        ({"kind": "greedy", "rule": "rrf", "rules": ["rrf"]}, "both rule and rules"),
        ({"kind": "greedy", "rule": "quota"}, "rules that give points"),
        ({"kind": "greedy", "folds": 1}, "folds"),
        ({"kind": "fixed", "rule": "quota", "gate": "logit"}, "rules that give points"),
        ({"kind": "greedy", "gate": "logits"}, "did you mean 'logit'"),
    ],
)
def test_plans_that_make_no_sense(table, complaint):
    from matinee.errors import MatineeError

    with pytest.raises(MatineeError, match=complaint):
        read_ensemble(table, "exp.toml: ensemble")


def test_a_plan_is_read_as_it_was_written():
    table = {
        "kind": "coordinate_ascent",
        "rounds": 2,
        "rules": ["rrf", {"kind": "top_n_vote", "top": 3}],
        "depth": 20,
        "gate": "segments",
    }
    plan = read_ensemble(table, "plan")
    assert read_ensemble(plan.to_dict(), "plan") == plan
    with pytest.raises(SpecError):
        read_ensemble({**table, "rounds": 0}, "plan")


def test_no_knob_of_a_chooser_is_hidden_by_one_of_the_plan():
    """Both stand in one table of a file."""
    for kind in WEIGHT_SEARCHES.names():
        assert not set(WEIGHT_SEARCHES.get(kind).model_fields) & {*EnsembleSpec.model_fields, "rule", "depth"}, kind
