"""Codes are checked where a value is built: out of range, of another type or length, −1 where it has no meaning."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from matinee.data import Histories, Interactions, Targets, Vocabulary
from matinee.errors import DataError
from matinee.topk import TopK
from tests.logs import random_log

WORDS = Vocabulary.of(["22697", "TEST001", "TEST002"])
NUMBERS = Vocabulary.of([10, 20, 30])
NOBODY = Vocabulary.of(pl.Series("user", [], dtype=pl.Int64))


def i4(*values):
    return np.array(values, dtype=np.int32)


def i8(*values):
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([2, 0, 1], [2, 0, 7]), r"Interactions\.item: found the code 7 at position 2; expected codes 0 to 2"),
        (([2, 0, 3], [2, 0, 1]), r"Interactions\.user: found the code 3 at position 2"),
        (([2, 0, -1], [2, 0, 1]), r"Interactions\.user: found the code -1 at position 2"),
        (([2, 0, 1], [-1, -1, 1]), r"Interactions\.item: found the code -1 at position 0, and 1 more"),
        (([2, 0, 1], [2, 0, 2**32]), r"Interactions\.item: found the code 4294967296"),
        (([2, 0, 1], ["a", "b", "c"]), r"Interactions\.item: found text \(a\); expected whole numbers"),
        (([2, 0, 1], [0.0, 1.0, 2.0]), r"Interactions\.item: found fractions"),
        (([2, 0, 1], [2, 0]), r"Interactions\.item: found the shape \(2,\); expected \(3,\)"),
        (([2, 0, 1], [2, 0, 1], [1, 2]), r"Interactions\.time: found the shape \(2,\)"),
        (([2, 0, 1], [2, 0, 1], ["x", "y", "z"]), r"Interactions\.time: found text"),
        (([2, 0, 1], [2, 0, 1], None, "none", [1.0]), r"Interactions\.weight: found the shape \(1,\)"),
        (([2, 0, 1], [2, 0, 1], None, "none", ["1", "1", "1"]), r"Interactions\.weight: found text"),
    ],
)
def test_a_log_refuses_wrong_columns(columns, message):
    with pytest.raises(DataError, match=message):
        Interactions.of((WORDS, NUMBERS), *columns)


def test_a_log_takes_lists_and_wide_whole_numbers():
    log = Interactions.of((WORDS, NUMBERS), [2, 0], np.array([1, 2]), [5, 4], "seconds", [1, 2.5])
    assert log.frame().rows() == [("22697", 30, 4, 2.5), ("TEST002", 20, 5, 1.0)]
    assert (log.user.dtype, log.item.dtype, log.time.dtype, log.weight.dtype) == ("int32", "int32", "int64", "float32")


@pytest.mark.parametrize(
    ("user", "item", "time", "message"),
    [
        (i4(0, 3), i4(0, 1), i8(0, 0), "found the code 3"),
        (i4(0, 1), i4(0, -1), i8(0, 0), "found the code -1"),
        (i8(0, 1), i4(0, 1), i8(0, 0), r"user: found int64 \(0\); expected an array of int32"),
        (i4(0, 1), i4(0, 1), i4(0, 0), "time: found int32"),
        (i4(0, 1), i4(0, 1), i8(0), "time: found the shape"),
        (i4(1, 0), i4(0, 1), i8(0, 0), r"do not ascend by user, time and item.*Interactions\.of"),
        (i4(0, 0), i4(0, 1), i8(1, 0), "do not ascend"),
    ],
)
def test_the_constructor_of_a_log_checks_too(user, item, time, message):
    with pytest.raises(DataError, match=message):
        Interactions(WORDS, NUMBERS, user, item, time)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[-1, 2]], r"Histories\.of: found the code -1 at position 0; expected codes 0 to 2"),
        ([[10**6]], "found the code 1000000"),
        ([[0], [1, 3]], "found the code 3 at position 2"),
        ([["22697"]], r"found text \(22697\); expected whole numbers.*from_raw"),
        ([[1.0]], "found fractions"),
        ([[None]], "found mixed values"),
        ([[10**20]], "expected whole numbers"),
        (["abc"], r"found \['abc'\]; expected one row of ids for each user"),
        ([1, 2], r"found \[1, 2\]; expected one row of ids"),
    ],
)
def test_histories_refuse_what_is_no_code(rows, message):
    with pytest.raises(DataError, match=message):
        Histories.of(rows, WORDS)


def test_without_items_no_code_is_right():
    with pytest.raises(DataError, match="the vocabulary is empty"):
        Histories.of([[0]], NOBODY)
    assert len(Histories.of([[], []], NOBODY).item) == 0


@pytest.mark.parametrize(
    ("user", "offsets", "item", "time", "message"),
    [
        (i4(3), i8(0, 1), i4(0), i8(0), r"Histories\.user: found the code 3 .*codes 0 to 2 or −1"),
        (i4(-2), i8(0, 1), i4(0), i8(0), "found the code -2"),
        (i4(0), i8(0, 1), i4(-1), i8(0), "item: found the code -1"),
        (i4(0), i8(0, 2), i4(0), i8(0), r"offsets: found 0 to 2; expected offsets that ascend from 0 to the 1 entries"),
        (i4(0), i8(1, 1), i4(0), i8(0), "offsets: found 1 to 1"),
        (i4(0, 1, 2), i8(0, 2, 0, 1), i4(0), i8(0), "not ascending"),
        (i4(0), i8(0, 0, 1), i4(0), i8(0), r"offsets: found the shape \(3,\); expected \(2,\)"),
        (i4(0), i4(0, 1), i4(0), i8(0), "offsets: found int32"),
        (i4(0), i8(0, 1), i4(0), i8(), r"time: found the shape \(0,\)"),
        (i4(0), i8(0, 1), i4(0), None, "time: found"),
        (i4(0), i8(0, 1), i8(0), i8(0), "item: found int64"),
    ],
)
def test_the_constructor_of_histories_checks_too(user, offsets, item, time, message):
    with pytest.raises(DataError, match=message):
        Histories(user, offsets, item, time, WORDS, NUMBERS)


def test_rows_are_asked_for_by_known_users_alone():
    log = random_log(users=20, items=10, rows=80)
    for wrong in (-1, 20):
        with pytest.raises(DataError, match=f"user: found the code {wrong}"):
            log.histories(np.array([0, wrong]))
        with pytest.raises(DataError, match=f"found the code {wrong}"):
            log.histories().take(np.array([wrong]))
    everyone = log.histories()
    for part in (everyone.rows(3, 5), everyone.take(np.array([3, 4]))):
        Histories(part.user, part.offsets, part.item, part.time, part.users, part.items)
        assert not part.item.flags.writeable
        assert not part.offsets.flags.writeable


@pytest.mark.parametrize(
    ("row", "item", "part", "message"),
    [
        ([2], [0], [0], r"Targets\.row: found the code 2"),
        ([0], [3], [0], r"Targets\.item: found the code 3"),
        ([0], [-1], [0], r"Targets\.item: found the code -1"),
        ([0], [0], [2], r"Targets\.part: found the code 2"),
        ([0, 1], [0], [0], "shape"),
    ],
)
def test_answers_refuse_wrong_codes(row, item, part, message):
    with pytest.raises(DataError, match=message):
        Targets.from_rows(WORDS, NUMBERS, i4(0, -1), row, item, part, ("random", "last"))


def test_the_constructor_of_answers_checks_too():
    good = Targets.from_rows(WORDS, NUMBERS, i4(0, -1), [0, 1], [2, 0], [0, 1], ("random", "last"))
    with pytest.raises(DataError, match=r"Targets\.item"):
        Targets(good.user, good.offsets, i4(2, 3), good.part, good.parts, WORDS, NUMBERS)
    with pytest.raises(DataError, match=r"Targets\.user"):
        Targets(i4(0, 9), good.offsets, good.item, good.part, good.parts, WORDS, NUMBERS)
    with pytest.raises(DataError, match=r"Targets\.part"):
        Targets(good.user, good.offsets, good.item, good.part[:1], good.parts, WORDS, NUMBERS)


@pytest.mark.parametrize(
    ("user", "item", "score", "message"),
    [
        (i4(3), [[0, 1]], [[1, 0]], r"TopK\.user: found the code 3"),
        (i4(0), [[0, 3]], [[1, 0]], r"TopK\.item: found the code 3 at position 1; expected codes 0 to 2 or −1"),
        (i4(0), [[0, -2]], [[1, 0]], r"TopK\.item: found the code -2"),
        (i4(0, 1), [[0, 1]], [[1, 0]], r"TopK\.item: found the shape \(1, 2\); expected \(2, k\)"),
        (i4(0), [[0, 1]], [[1]], r"TopK\.score: found the shape \(1, 1\)"),
    ],
)
def test_lists_refuse_wrong_codes(user, item, score, message):
    with pytest.raises(DataError, match=message):
        TopK(user, np.array(item, dtype=np.int32), np.array(score, dtype=np.float32), WORDS, NUMBERS)
    assert TopK(i4(-1), np.array([[-1]], dtype=np.int32), np.array([[0.0]], dtype=np.float32), WORDS, NUMBERS).k == 1


@pytest.mark.parametrize(
    ("rows", "items", "wanted", "left_out"),
    [
        ([["TEST002", "NEW", "22697"], [], ["NEW"]], WORDS, [[2, 0], [], []], 2),
        ([[22697, "TEST001"]], WORDS, [[0, 1]], 0),
        ([[np.str_("TEST001"), None]], WORDS, [[1]], 1),
        ([np.array(["TEST002"]), pl.Series(["TEST001", None])], WORDS, [[2], [1]], 1),
        ([[20, 99, 10, 20]], NUMBERS, [[1, 0, 1]], 1),
        ([["20", "x"], (30,)], NUMBERS, [[1], [2]], 1),
        ([[np.int64(30)], np.array([10, -1]), pl.Series([20])], NUMBERS, [[2], [0], [1]], 1),
        ([], NUMBERS, [], 0),
    ],
)
def test_raw_ids_become_histories(rows, items, wanted, left_out):
    histories, unknown = Histories.from_raw(rows, items)
    found = [histories.rows(r, r + 1) for r in range(len(histories))]
    assert [one.item.tolist() for one in found] == wanted
    assert [one.time.tolist() for one in found] == [list(range(len(row))) for row in wanted]
    assert (histories.user == -1).all()
    assert unknown == left_out


def test_raw_ids_with_times_stand_as_in_a_log():
    histories, unknown = Histories.from_raw([[30, 99, 20, 10], [20]], NUMBERS, [[7, 1, 3, 3], [5]])
    assert histories.item.tolist() == [0, 1, 2, 1]
    assert histories.time.tolist() == [3, 3, 7, 5]
    assert histories.offsets.tolist() == [0, 3, 4]
    assert unknown == 1
    with pytest.raises(DataError, match=r"times: .*expected a time for each id"):
        Histories.from_raw([[30], [20, 10]], NUMBERS, [[7, 1], [3]])
    with pytest.raises(DataError, match="times: found text"):
        Histories.from_raw([[30]], NUMBERS, [["yesterday"]])


def test_a_lone_row_of_raw_ids_is_refused():
    for rows in (["TEST001"], "TEST001", [22697]):
        with pytest.raises(DataError, match="expected one row of ids for each user"):
            Histories.from_raw(rows, WORDS)
