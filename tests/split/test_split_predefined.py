"""Given: files beside a log, on one vocabulary, with nobody and nothing dropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from split_logs import Row, answers, asked, pairs, rows
from split_timelines import log_of

from matinee import split
from matinee.data import Interactions, Vocabulary
from matinee.data.attributes import Attributes, numeric
from matinee.errors import MatineeError, SpecError, SplitError
from matinee.split import PROTOCOLS

LEARN = [("ann", "A", 0), ("ann", "B", 1), ("ben", "C", 0), ("cat", "A", 5)]
TEST = [("ben", "A", 9), ("ann", "Z", 9), ("dan", "B", 9), ("dan", "B", 10)]


@given(learn=rows(), test=rows(n_users=7))
def test_nothing_is_dropped(learn: list[Row], test: list[Row]):
    found = split.predefined(log_of(learn), log_of(test))
    assert pairs(found.train) == pairs(log_of(learn))
    assert {(u, i) for u, row in answers(found).items() for i in row} == {(u, i) for u, i, _ in test}
    assert found.train.users.ids.to_list() == sorted({u for u, _, _ in learn + test})
    assert found.train.items.ids.to_list() == sorted({i for _, i, _ in learn + test})
    assert found.query.users == found.target.users == found.train.users
    for user, history in asked(found).items():
        assert sorted(history) == sorted((i, t) for u, i, t in learn if u == user)
    known = {u for u, _, _ in learn}
    names = found.target.users.decode(found.target.user).to_list()
    assert [code < 0 for code in found.query.user.tolist()] == [name not in known for name in names]


def test_numbers_and_text_meet_as_text():
    learn = pl.DataFrame({"user": [1, 2, 10], "item": [5, 6, 5]})
    found = split.predefined(learn, log_of([("10", "6", 0), ("x", "7", 0)]))
    assert answers(found) == {"10": {"6": "predefined"}, "x": {"7": "predefined"}}
    assert sorted(found.train.frame().rows()) == [("1", "5"), ("10", "5"), ("2", "6")]


def test_attributes_follow():
    log = log_of(LEARN)
    facts = Attributes(log.items, {"size": numeric(log.items, pl.Series(["A", "B", "C"]), pl.Series([1.0, 2.0, 3.0]))})
    log = Interactions(log.users, log.items, log.user, log.item, log.time, item_attributes=facts)
    found = split.predefined(log, log_of(TEST)).train
    assert found.item_attributes is not None
    np.testing.assert_array_equal(found.item_attributes["size"].value, [1.0, 2.0, 3.0, np.nan])  # pyright: ignore
    assert found.item_attributes.keys == found.items


def test_valid_is_the_stop_fold_and_the_past_of_the_test():
    valid = log_of([("ann", "D", 4), ("eve", "A", 4)])
    found = split.predefined(log_of(LEARN), log_of(TEST), validation=valid)
    assert asked(found)["ann"] == [("A", 0), ("B", 1), ("D", 4)]
    assert answers(found.validation_split()) == {"ann": {"D": "predefined"}, "eve": {"A": "predefined"}}
    assert found.validation_split().train is found.train
    assert asked(found.validation_split())["ann"] == [("A", 0), ("B", 1)]
    assert ("ann", "D") not in pairs(found.train)
    alone = split.predefined(log_of(LEARN), log_of(TEST), validation=valid, query_history="train")
    assert asked(alone)["ann"] == [("A", 0), ("B", 1)]
    assert (
        len(
            {
                found.fingerprint,
                alone.fingerprint,
                found.validation_split().fingerprint,
                alone.validation_split().fingerprint,
            }
        )
        == 3
    )


def test_valid_without_times_stands_after_the_log():
    valid = log_of([("ann", "0", 0), ("ann", "D", 0)], clock="none")
    found = split.predefined(log_of(LEARN), log_of(TEST), validation=valid)
    assert [i for i, _ in asked(found)["ann"]] == ["A", "B", "0", "D"]


def test_stop_without_valid_is_drawn_from_learn():
    learn = [(f"u{u}", f"i{i}", i) for u in range(4) for i in range(20)]
    found = split.predefined(log_of(learn), log_of([("u0", "i99", 1)])).validation_split()
    assert {u: len(row) for u, row in answers(found).items()} == dict.fromkeys(["u0", "u1", "u2", "u3"], 2)
    assert "i99" not in {i for row in answers(found).values() for i in row}


def test_candidates():
    pool = pl.DataFrame({"user": ["ann", "ann", "ben", "dan", "not asked"], "item": ["Z", "Q", "A", "B", "C"]})
    found = split.predefined(log_of(LEARN), log_of(TEST), candidates=pool)
    assert found.candidates is not None
    named = [found.train.items.decode(found.candidates[[r]].indices).to_list() for r in range(3)]
    assert dict(zip(answers(found), named, strict=True)) == {"ann": ["Q", "Z"], "ben": ["A"], "dan": ["B"]}
    assert found.fingerprint != split.predefined(log_of(LEARN), log_of(TEST)).fingerprint
    with pytest.raises(SplitError, match="1 of 3 queried users have no candidates"):
        split.predefined(log_of(LEARN), log_of(TEST), candidates=pool.head(3))


def test_published_files(tmp_path: Path):
    (tmp_path / "train.txt").write_text("0 5 6 7\n1 6\n2 5 6\n")
    (tmp_path / "test.txt").write_text("0 8\n1 5 7 9\n2\n")
    found = split.predefined(tmp_path / "train.txt", tmp_path / "test.txt")
    assert {u: set(row) for u, row in answers(found).items()} == {0: {8}, 1: {5, 7, 9}}
    assert len(found.train) == 6
    (tmp_path / "x.test.rating").write_text("0\t25\t5\t978824351\n1\t13\t3\t978300174\n")
    (tmp_path / "x.test.negative").write_text("(0,25)\t10\t11\n(1,13)\t25\t12\n")
    learn = pl.DataFrame({"user": [0, 1], "item": [10, 12]})
    spec = {
        "kind": "predefined",
        "targets": tmp_path / "x.test.rating",
        "candidates": str(tmp_path / "x.test.negative"),
    }
    ncf = PROTOCOLS.read(spec, "split").split(split.predefined(learn, learn).train)
    assert ncf.candidates is not None
    assert ncf.train.items.ids.to_list() == [10, 11, 12, 13, 25]
    assert ncf.candidates.toarray().tolist() == [[1, 1, 0, 0, 1], [0, 0, 1, 1, 1]]
    assert answers(ncf) == {0: {25: "predefined"}, 1: {13: "predefined"}}
    named = split.predefined(learn, tmp_path / "x.test.rating", candidates=tmp_path / "x.test.negative")
    assert named.fingerprint == ncf.fingerprint


def test_the_same_content_from_elsewhere_is_the_same_split(tmp_path: Path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("user,item,time\nben,A,1000000000\nann,Z,1000000000\n")
    one, two = (split.predefined(log_of(LEARN), tmp_path / name) for name in ("a.csv", "b.csv"))
    assert one.fingerprint == two.fingerprint
    (tmp_path / "b.csv").write_text("user,item,time\nben,A,1000000000\nann,B,1000000000\n")
    assert split.predefined(log_of(LEARN), tmp_path / "b.csv").fingerprint != one.fingerprint


def test_refusals(tmp_path: Path):
    with pytest.raises(SpecError, match="no file of targets"):
        PROTOCOLS.read({"kind": "predefined"}, "split").split(log_of(LEARN))
    with pytest.raises(MatineeError, match="nowhere"):
        split.predefined(log_of(LEARN), tmp_path / "nowhere.txt")
    (tmp_path / "bad.negative").write_text("(0,25)\t1\n0,25\t1\n")
    with pytest.raises(MatineeError, match=r"line 2 starts with '0,25"):
        split.predefined(log_of(LEARN), log_of(TEST), candidates=tmp_path / "bad.negative")
    (tmp_path / "bad.rating").write_text("0\t25\n")
    with pytest.raises(MatineeError, match=r"bad\.rating"):
        split.predefined(log_of(LEARN), tmp_path / "bad.rating")
    empty = Interactions.of(
        (Vocabulary.of(["ann"]), Vocabulary.of(["A"])), np.zeros(0, np.int32), np.zeros(0, np.int32)
    )
    with pytest.raises(SplitError, match="no user has enough interactions"):
        split.predefined(log_of(LEARN), empty)
