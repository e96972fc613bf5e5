"""What cannot be read is refused in one line: the file and the line or column, what was found, expected, to be done."""

import gzip
import re

import numpy as np
import polars as pl
import pytest

from matinee.data.read import read
from matinee.errors import DataError, MatineeError, UnknownNameError

T0 = 1_400_000_000


def refusal(source, kind=None, **knobs):
    """The message, checked to be one line with an end."""
    with pytest.raises(MatineeError) as caught:
        read(source, kind, **knobs)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.fixture
def csv(tmp_path):
    def write(text, name="log.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_missing_file_lists_its_neighbours(csv):
    here = csv("user,item\n1,2\n")
    message = refusal(here.with_name("lok.csv"))
    assert message.startswith(f"{here.with_name('lok.csv')}: there is no such file")
    assert "log.csv" in message


@pytest.mark.parametrize("kind", ["delimited", "parquet", "sequences", "csr", "movielens"])
def test_missing_and_empty_for_other_readers(csv, kind):
    assert "there is no such file" in refusal(csv("x").with_name("none.x"), kind)
    assert "it is empty" in refusal(csv("", "a.csv"), kind)


def test_header_without_rows(csv):
    assert "log.csv: it has no rows; expected at least one row" in refusal(csv("user,item\n"))


def test_missing_column_lists_columns_and_aliases(csv):
    message = refusal(csv("who,item\n1,2\n"))
    assert re.search(r"log.csv: no column for the user among 'who', 'item'; expected .*user, userid, uid", message)
    assert message.endswith("Name it with user = '…'.")


def test_no_header(csv):
    assert "add a line of column names" in refusal(csv("1,2,3\n4,5,6\n"))


def test_named_column_that_is_not_there(csv):
    with pytest.raises(UnknownNameError, match="there is no column 'usr'; did you mean 'user'"):
        read(csv("user,item\n1,2\n"), user="usr")


def test_no_separator(csv):
    assert "log.csv line 1: 'user item' has no separator" in refusal(csv("user item\n1 2\n"))


@pytest.mark.parametrize("bad", [17, 1500])
def test_text_in_a_number(csv, bad):
    lines = ["user,item,weight", *(f"{n},1,2.5" for n in range(2000))]
    lines[bad - 1] = "3,1,abc"
    message = refusal(csv("\n".join(lines)))
    assert f"log.csv line {bad}: weight 'abc'; expected a number. Mend" in message


@pytest.mark.parametrize("bad", [17, 1500])
@pytest.mark.parametrize(("line", "role"), [(",1,5", "user"), ("3,,5", "item")])
def test_empty_ids(csv, bad, line, role):
    lines = ["user,item,weight", *(f"{n},1,2.5" for n in range(2000))]
    lines[bad - 1] = line
    assert f"log.csv line {bad}: the {role} is empty; expected a {role} id" in refusal(csv("\n".join(lines)))
    lines[0], lines[bad] = "user,item,weight", "x,y,1"
    assert f"log.csv line {bad}: the {role} is empty; expected a {role} id" in refusal(csv("\n".join(lines)))


def test_lines_are_right_below_blank_lines_and_quoted_line_ends(csv):
    text = 'user,item,weight\n\n1,"a\nb",1\n\r\n2,c,1\n3,d,x\n'
    assert "line 7: weight 'x'" in refusal(csv(text))
    assert "line 7: the item is empty" in refusal(csv(text.replace("3,d,x", "3,,1")))


@pytest.mark.parametrize(
    ("weight", "found"), [("", "the weight is empty"), ("inf", "weight inf"), ("nan", "weight nan")]
)
def test_weights_that_are_no_numbers(csv, weight, found):
    assert f"log.csv line 3: {found}; expected a finite number" in refusal(
        csv(f"user,item,rating\n1,2,3\n1,3,{weight}\n")
    )


def test_empty_time(csv):
    assert "log.csv line 3: the time is empty; expected a time" in refusal(csv(f"user,item,time\n1,2,{T0}\n1,3,\n"))


def test_unparsable_date(csv):
    message = refusal(csv("user,item,date\n1,2,2014-02-28\n1,3,2014-02-30\n"))
    assert "log.csv line 3: time '2014-02-30'; expected seconds since 1970 or a date like" in message


def test_a_date_among_numbers(csv):
    assert "line 3: time '2014-02-03'; expected a number" in refusal(csv(f"user,item,date\n1,2,{T0}\n1,3,2014-02-03\n"))


@pytest.mark.parametrize(
    ("time", "looks", "todo"),
    [
        (T0 * 10**3, "looks like milliseconds; expected seconds", "Divide by 1000, or say time_unit = 'ms'"),
        (T0 * 10**6, "looks like microseconds; expected seconds", "Divide by 1000000, or say time_unit = 'us'"),
        (T0 * 10**9, "looks like nanoseconds; expected seconds", "Divide by 1000000000, or say time_unit = 'ns'"),
        (17, "not a Unix timestamp in seconds", "Set time_unit = 'order' if they are positions, or time = ''"),
        (0, "not a Unix timestamp in seconds", "time_unit = 'order'"),
        (20_140_513, "looks like YYYYMMDD", "Write dates as YYYY-MM-DD"),
    ],
)
def test_times_of_another_magnitude(csv, time, looks, todo):
    message = refusal(csv(f"user,item,ts\n1,2,{time}\n1,3,{time}\n"))
    assert "log.csv column 'time'" in message
    assert looks in message
    assert todo in message


def test_repeats_when_refused_name_both_lines(csv):
    text = f"user,item,time\n1,2,{T0 + 5}\n1,3,{T0}\n\n2,2,{T0}\n1,2,{T0}\n"
    message = refusal(csv(text), duplicates="error")
    assert "log.csv line 6: user 1 and item 2 occur again, first in " in message
    assert "log.csv line 2; expected each pair once" in message


def test_repeats_in_rows_of_items(csv):
    message = refusal(csv("1 5 6\n\n2 5 6\n3 7 8 7\n", "s.txt"), "user_lists", duplicates="error")
    assert "s.txt line 4: user 3 and item 7" in message
    words = refusal(csv("a 5 6\n\nb 5 6\nc 7 8 7\n", "s.txt"), "user_lists", duplicates="error")
    assert "s.txt line 4: user 'c' and item '7'" in words
    first = refusal(csv("1 5 6\n2 7\n1 5\n", "s.txt"), "user_lists", duplicates="error")
    assert "s.txt line 3: user 1 and item 5 occur again, first in " in first


def test_filters_that_leave_nothing_say_what_there_was(csv):
    path = csv("user,item,time,rating\n1,2,2014-05-13,3\n1,3,2014-05-14,4\n")
    assert "none of 2 rows has a weight of 5 or more; expected some, the largest is 4" in refusal(path, min_weight=5)
    message = refusal(path, since="2020-01-01")
    assert "none of 2 rows is left with since 2020-01-01" in message
    assert "2014-05-13 00:00:00 to 2014-05-14 00:00:00 UTC" in message
    message = refusal(path, k_core=2)
    assert "no row is left of the 2 rows by 1 users on 2 items" in message
    assert "Set a smaller k_core" in message


def test_filters_that_need_what_is_not_there(csv):
    path = csv("user,item\n1,2\n")
    assert "min_weight is given and the log has no weight column" in refusal(path, min_weight=1)
    assert "since is given and the log has no times (its clock is 'none')" in refusal(path, since="2014-01-01")
    assert "since and until is given" in refusal(path, since="2014-01-01", until="2015-01-01")
    assert "(its clock is 'order')" in refusal(csv("1 2 3\n", "s.txt"), "sequences", until="2014-01-01")


@pytest.mark.parametrize("bad", [17, 1500])
@pytest.mark.parametrize(("line", "found"), [("3,1", 2), ("3,1,2,9", 4), ("3,1,2,9,9", 5)])
@pytest.mark.parametrize("header", ["user,item,weight", "user,item,other"])
def test_ragged_lines(csv, bad, line, found, header):
    lines = [header, *(f"{n},1,2.5" for n in range(2000))]
    lines[bad - 1] = line
    message = refusal(csv("\n".join(lines)))
    assert f"log.csv line {bad}: it has {found} fields; expected 3, as the first line has. Mend the line." in message


def test_bytes_that_are_no_text(csv):
    assert "it holds zero bytes, so it is not a text file" in refusal(csv(b"user,item\n\x00\x01\n"))
    late = b"user,item,x\n" + b"1,2,3\n" * 2000 + b"\x00\n"
    assert "line 2002 holds a zero byte, so it is not a text file" in refusal(csv(late))
    assert "log.csv line 3: byte 0xe9 is not UTF-8" in refusal(csv(b"user,item\n1,a\n1,caf\xe9\n"))


def test_damaged_gzip(csv):
    whole = gzip.compress(b"user,item\n" + b"1,2\n" * 1000)
    assert "it is a damaged gzip file" in refusal(csv(whole[:-9], "log.csv.gz"))
    assert "it is a damaged gzip file" in refusal(csv(b"\x1f\x8bgarbage", "log.csv.gz"))
    assert "it is empty" in refusal(csv(gzip.compress(b""), "log.csv.gz"))


def test_unclosed_quote(csv):
    message = refusal(csv('user,item\n1,"a\n2,b\n'))
    assert "log.csv line 2: it has 2 fields" in message or "a quote that is never closed" in message


def test_unreadable_parquet_and_matrices(csv, tmp_path):
    assert "it is no Parquet file" in refusal(csv(b"garbage", "a.parquet"))
    assert "it holds no sparse matrix" in refusal(csv(b"garbage", "a.npz"))
    np.savez(tmp_path / "b.npz", x=np.ones(3))
    assert "it holds no sparse matrix" in refusal(tmp_path / "b.npz")


def test_rows_are_named_where_there_are_no_lines(tmp_path):
    pl.DataFrame({"user": [1, None], "item": [2, 3]}).write_parquet(tmp_path / "a.parquet")
    assert "a.parquet row 2: the user is empty" in refusal(tmp_path / "a.parquet")


def test_a_kind_that_cannot_be_guessed(csv, tmp_path):
    message = refusal(csv("0 1 2\n1 3\n", "s.txt"))
    assert "s.txt: the kind is not clear" in message
    assert "sequences, user_lists. Set kind = '…'." in message
    assert "log.zip" not in message
    assert "the files of the folder (s.txt)" in refusal(tmp_path)


def test_a_wrong_kind_for_rows_of_items(csv):
    assert "no line has an item after its user, the first is '1,2,3'" in refusal(csv("1,2,3\n", "s.txt"), "sequences")


def test_folders_without_their_log(tmp_path):
    assert "the folder has none of ratings.csv, ratings.dat, u.data" in refusal(tmp_path, "movielens")
    assert "it has neither train_ratings.csv nor train/train_ratings.csv" in refusal(tmp_path, "competition")
    assert "its .inter files are: none; expected exactly one" in refusal(tmp_path, "recbole")
    assert "it is a folder with nothing; expected a file" in refusal(tmp_path, "delimited")


def test_recbole_columns_need_types(csv):
    assert "t.inter line 1: column 'item_id' has no type" in refusal(csv("user_id:token\titem_id\n1\t2\n", "t.inter"))
    message = refusal(csv("user_id:token\titem_id:tokn\n1\t2\n", "t.inter"))
    assert "there is no type 'tokn'; did you mean 'token'" in message


def test_side_files_of_another_shape(csv):
    csv(f"user,item,time\n1,2,{T0}\n", "train_ratings.csv")
    path = csv("a\tb\tc\n1\t2\t3\n", "genres.tsv")
    assert "genres.tsv line 1: its columns are 'a', 'b', 'c'; expected an item and one value" in refusal(path.parent)
    path.unlink()
    path.with_name("train_ratings.csv").unlink()
    csv(f"1::2::3::{T0}\n", "ratings.dat")
    csv("1,2\n", "movies.dat")
    assert "movies.dat: it has 1 columns; expected 3: item, title, genres" in refusal(path.parent)


def test_something_else_entirely():
    assert "read: found" not in refusal([1, 2])
    assert "read: a list; expected a path, or a polars, pandas or Arrow table" in refusal([1, 2])
    with pytest.raises(DataError, match="with kind = 'csr'"):
        read({"user": [1], "item": [1]}, "csr")
