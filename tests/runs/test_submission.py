"""A list file against the rules of its task; every fault is named."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from matinee.contract import Task
from matinee.data import Interactions, Vocabulary
from matinee.errors import DataError, SpecError, SubmissionError
from matinee.runs.list_file import atomic_replace, read_pairs
from matinee.runs.submission import check_file, evaluate_against_file, write_lists
from matinee.topk import TopK
from tests.logs import log_of

TASK = Task(k=2, metric="recall@2", extra_metrics=("hit@1",))


@pytest.fixture
def log():
    """Three users, six items; user 0 took 0 and 1, user 1 took 2, user 2 took all but one."""
    return log_of([0, 0, 1, 2, 2, 2, 2, 2], [0, 1, 2, 0, 1, 2, 3, 4], users=3, items=6)


GOOD = [(1000, 5002), (1000, 5003), (1001, 5000), (1001, 5001), (1002, 5005)]


def file(tmp_path, rows, suffix=".csv"):
    frame = pl.DataFrame(rows, schema=["user", "item"], orient="row")
    path = tmp_path / f"lists{suffix}"
    frame.write_csv(path) if suffix == ".csv" else frame.write_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_good_file_passes_and_says_who_is_short(tmp_path, log, suffix):
    checked = check_file(file(tmp_path, GOOD, suffix), log, TASK)
    assert checked.short == 1
    assert checked.lists.item.tolist() == [[2, 3], [0, 1], [5, -1]]
    assert "1 users have fewer" in checked.summary(2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*GOOD, (9, 5000)], r"1 × unknown user \(line 7: 9,5000\)"),
        ([*GOOD[:-1], (1002, 77)], r"1 × unknown item \(line 6: 1002,77\)"),
        ([(1000, 5000), *GOOD[1:]], r"1 × seen item \(line 2: 1000,5000\)"),
        ([(1000, 5003), *GOOD[1:]], r"1 × row that repeats an item of the same user \(line 3: 1000,5003\)"),
        (GOOD[1:], r"1 users with fewer than 2 rows \(user 1000\)"),
        ([*GOOD, (1001, 5004)], r"1 users with more than 2 rows \(user 1001\)"),
        (GOOD[:2] + GOOD[4:], r"1 users without a row \(user 1001\)"),
    ],
)
def test_every_fault_is_named_with_its_line(tmp_path, log, rows, message):
    with pytest.raises(SubmissionError, match=message):
        check_file(file(tmp_path, rows), log, TASK)


def test_seen_items_are_counted_where_they_are_allowed(tmp_path, log):
    rows = [(1000, 5000), (1000, 5003), (1001, 5000), (1001, 5001), (1002, 5004), (1002, 5005)]
    sentence = check_file(file(tmp_path, rows), log, TASK.model_copy(update={"seen": "include"})).summary(2)
    assert "no seen item" not in sentence
    assert "seen items allowed (33 % of rows repeat an item of the user's history), no item twice" in sentence
    assert "no seen item, no item twice" in check_file(file(tmp_path, GOOD), log, TASK).summary(2)


def test_all_faults_come_in_one_message(tmp_path, log):
    with pytest.raises(SubmissionError) as error:
        check_file(file(tmp_path, [(9, 5000), (1000, 5000), (1001, 77)]), log, TASK)
    assert len(error.value.faults) == 5
    assert error.value.exit_code == 2


def test_seen_items_pass_where_they_are_allowed(tmp_path, log):
    task = Task(k=2, metric="recall@2", extra_metrics=(), seen="include")
    rows = [(u, i) for u in (1000, 1001, 1002) for i in (5000, 5001)]
    assert check_file(file(tmp_path, rows), log, task).short == 0


def test_only_the_users_asked_for_must_be_there(tmp_path, log):
    wanted = log.histories(np.array([1], dtype=np.int32))
    assert len(check_file(file(tmp_path, GOOD[2:4]), log, TASK, wanted).lists) == 1
    with pytest.raises(SubmissionError, match="users that are no target users"):
        check_file(file(tmp_path, GOOD), log, TASK, wanted)


def test_files_that_are_none(tmp_path, log):
    with pytest.raises(DataError):
        check_file(tmp_path / "nowhere.csv", log, TASK)
    empty = tmp_path / "empty.csv"
    empty.write_text("user,item\n")
    with pytest.raises(DataError, match="no rows"):
        check_file(empty, log, TASK)
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("user,thing\n1,2\n")
    with pytest.raises(DataError, match="item"):
        check_file(wrong, log, TASK)


def test_lists_are_scored_against_answers_and_unknown_items_are_misses(tmp_path, log):
    checked = check_file(file(tmp_path, GOOD), log, TASK)
    answers = tmp_path / "answers.csv"
    answers.write_text("user,item\n1000,5003\n1001,5000\n1001,9999\n")
    evaluation = evaluate_against_file(checked.lists, answers, TASK)
    assert evaluation["recall@2"] == pytest.approx((1.0 + 0.5) / 2)
    assert evaluation["hit@1"] == pytest.approx(0.5)
    answers.write_text("user,item\n55,5003\n")
    with pytest.raises(DataError, match="line 2"):
        evaluate_against_file(checked.lists, answers, TASK)


def test_another_ending_is_refused_and_nothing_is_written(tmp_path, log):
    lists = check_file(file(tmp_path, GOOD), log, TASK).lists
    with pytest.raises(SpecError, match=r"\.csv or \.parquet"):
        write_lists(lists, tmp_path / "out" / "lists.xls")
    assert not (tmp_path / "out").exists()
    assert isinstance(lists, TopK)


def test_a_user_who_took_everything_gets_no_list(tmp_path):
    """An empty list is right where no item is allowed."""
    log = log_of([0, 0, 1, 1, 1], [0, 1, 0, 1, 2], users=2, items=3)
    checked = check_file(file(tmp_path, [(1000, 5002)]), log, TASK)
    assert checked.short == 2
    assert checked.lists.length.tolist() == [1, 0]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_column_rank_says_the_order(tmp_path, log, suffix):
    frame = pl.DataFrame([(*row, rank) for row, rank in zip(GOOD, [2, 1, 1, 2, 1], strict=True)], orient="row")
    frame.columns = ["user", "item", "rank"]
    path = tmp_path / f"ranked{suffix}"
    frame.write_csv(path) if suffix == ".csv" else frame.write_parquet(path)
    assert check_file(path, log, TASK).lists.item.tolist() == [[3, 2], [0, 1], [5, -1]]


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ([1, 1, 1, 2, 1], "line 3: rank 1 of user 1000"),
        ([1, 3, 1, 2, 1], "line 3: rank 3 of user 1000"),
        ([0, 1, 1, 2, 1], "line 2: rank 0 of user 1000"),
        ([1, 2, 1, 2, 1.5], "line 6: rank 1.5 of user 1002"),
        ([1, 2, 1, 2, "last"], "line 6: rank 'last'"),
    ],
)
def test_ranks_with_gaps_or_ties_are_refused(tmp_path, log, ranks, message):
    path = tmp_path / "ranked.csv"
    rows = [f"{user},{item},{rank}" for (user, item), rank in zip(GOOD, ranks, strict=True)]
    path.write_text("\n".join(["user,item,rank", *rows]) + "\n")
    with pytest.raises(DataError, match=message):
        check_file(path, log, TASK)


def test_a_column_of_scores_or_times_says_nothing(tmp_path, log):
    path = tmp_path / "scored.csv"
    rows = [f"{user},{item},-,20240131" for user, item in GOOD]
    path.write_text("\n".join(["user,item,score,date", *rows]) + "\n")
    assert check_file(path, log, TASK).short == 1


def test_answers_with_ids_of_another_type_are_misses(tmp_path, log):
    checked = check_file(file(tmp_path, GOOD), log, TASK)
    answers = tmp_path / "answers.csv"
    answers.write_text("user,item\n1000,5003\n1001,abc\n")
    assert evaluate_against_file(checked.lists, answers, TASK)["recall@2"] == pytest.approx(0.5)
    answers.write_text("user,item\nabc,5003\n")
    with pytest.raises(DataError, match="line 2"):
        evaluate_against_file(checked.lists, answers, TASK)


def test_text_ids_that_look_like_numbers_read_back(tmp_path):
    """A log knows 007 and 7 apart; so must a file of lists, wherever the first leading zero stands."""
    users, items = ["1", "7", "9"], ["0012", "12", "3"]
    log = Interactions.of(
        (Vocabulary.of(users), Vocabulary.of(items)), np.array([0, 1], np.int32), np.array([0, 2], np.int32)
    )
    lists = TopK(
        np.arange(3, dtype=np.int32),
        np.array([[1, 2], [1, 0], [2, 1]], np.int32),
        np.tile(np.array([2.0, 1.0], np.float32), (3, 1)),
        log.users,
        log.items,
    )
    write_lists(lists, tmp_path / "lists.csv")
    assert (check_file(tmp_path / "lists.csv", log, TASK).lists.item == lists.item).all()
    many = pl.DataFrame({"user": [str(n) for n in range(1500)] * 2, "item": ["1"] * 2999 + ["007"]})
    many.write_csv(tmp_path / "many.csv")
    wide = Vocabulary.of(many["user"]), Vocabulary.of(many["item"])
    assert wide[1].decode(read_pairs(tmp_path / "many.csv", *wide).item).to_list() == many["item"].to_list()


def _fail(path):
    path.write_text("today")
    raise RuntimeError


def test_an_older_file_stays_where_the_new_one_fails(tmp_path, log):
    path = tmp_path / "lists.csv"
    path.write_text("yesterday")
    path.chmod(0o640)
    with pytest.raises(RuntimeError), atomic_replace(path) as fresh:
        _fail(fresh)
    assert path.read_text() == "yesterday"
    with atomic_replace(path) as fresh:
        fresh.write_text("today")
    assert path.read_text() == "today"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["lists.csv"]
    (tmp_path / "there.csv").mkdir()
    with pytest.raises(SpecError, match="folder"), atomic_replace(tmp_path / "there.csv"):
        pass


def test_a_link_planted_beside_the_file_is_not_followed(tmp_path, log):
    lists = check_file(file(tmp_path, GOOD), log, TASK).lists
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    (tmp_path / ".s.csv.half").symlink_to(victim)
    write_lists(lists, tmp_path / "s.csv")
    assert victim.read_text() == "mine"
