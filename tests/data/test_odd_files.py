"""Odd and damaged files: each is read as what it says, or refused in one line that names the row."""

import gzip
import os
from datetime import date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matinee.data.read import read, user_ids
from matinee.data.vocabulary import Vocabulary
from matinee.errors import DataError, MatineeError

T0 = 1_400_000_000
LONG = 1500
"""More rows than those that column types are first guessed from."""


def write(folder, text, name="log.csv"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def numbers(*late, header="user,item", row="{n},{m}"):
    """A long log of whole numbers with some rows at its end."""
    rows = [row.format(n=n % 60 + 1, m=n % 40 + 1, t=T0 + n) for n in range(LONG)]
    return "\n".join([header, *rows, *late]) + "\n"


def refusal(path, kind=None, **options):
    with pytest.raises(MatineeError) as caught:
        read(path, kind, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


class TestBrackets:
    """A path is a name and no pattern: the neighbour `x1` of `x[1]` must stay unread."""

    @pytest.mark.parametrize("folder", ["a", "a[1]"])
    @pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".parquet"])
    def test_logs(self, tmp_path, folder, suffix):
        for name, user in (("r[1]", 1), ("r1", 7)):
            frame = pl.DataFrame({"user": [user], "item": [2]})
            path = tmp_path / folder / f"{name}{suffix}"
            path.parent.mkdir(exist_ok=True)
            if suffix == ".parquet":
                frame.write_parquet(path)
            else:
                text = frame.write_csv(separator="\t" if suffix == ".tsv" else ",").encode()
                path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
        assert read(tmp_path / folder / f"r[1]{suffix}").users.ids.to_list() == [1]

    @pytest.mark.parametrize(
        ("name", "kind", "text", "other"),
        [
            ("s[1].txt", "user_lists", "1 5\n", "7 5\n"),
            ("s[1].txt", "sequences", "1 5\n", "7 5\n"),
            ("s[1].inter", "recbole", "user_id:token\titem_id:token\n1\t5\n", "user_id:token\titem_id:token\n7\t5\n"),
        ],
    )
    def test_other_readers(self, tmp_path, name, kind, text, other):
        write(tmp_path, other, name.replace("[1]", "1"))
        assert read(write(tmp_path, text, name), kind).users.ids.to_list() == [1]

    @pytest.mark.parametrize("suffix", [".csv", ".parquet"])
    def test_users_files(self, tmp_path, suffix):
        for name, user in (("u[1]", 1), ("u1", 7)):
            frame = pl.DataFrame({"user": [user]})
            getattr(frame, f"write_{suffix[1:]}")(tmp_path / f"{name}{suffix}")
        assert user_ids(tmp_path / f"u[1]{suffix}").to_list() == [1]


class TestIds:
    @pytest.mark.parametrize("odd", ["007", "+7", "-0", '"007"', "-07", "7", " 7", '" 7"', "7.0", "7 "])
    @pytest.mark.parametrize("late", [False, True])
    def test_spellings_of_a_number_wherever_they_stand(self, tmp_path, odd, late):
        text = numbers(f"{odd},1") if late else f"user,item\n7,1\n{odd},1\n"
        log = read(write(tmp_path, text))
        plain = odd.strip('" ') in ("7", "7.0")
        assert log.users.is_text != plain
        assert not log.items.is_text
        others = 60 if late else 1
        assert log.n_users == others + (not plain)

    def test_items_likewise(self, tmp_path):
        log = read(write(tmp_path, numbers("1,0012")))
        assert log.n_items == 41
        assert {"12", "0012"} <= set(log.items.ids)
        assert not log.users.is_text

    def test_a_column_of_floats_is_whole_numbers(self, tmp_path):
        log = read(write(tmp_path, numbers(row="{n}.0,{m}.0")))
        assert log.fingerprint == read(write(tmp_path, numbers(), "b.csv")).fingerprint

    @pytest.mark.parametrize("word", ["NULL", "nan", "NaN", "None", "NA", "null", "N/A", " NULL "])
    @pytest.mark.parametrize("first", ["1", "ann"])
    def test_words_for_missing(self, tmp_path, word, first):
        text = f"user,item\n{first},2\n{word},3\n{word},4\n"
        for options in ({}, {"ids": "text"}):
            message = refusal(write(tmp_path, text), **options)
            assert f"line 3: the user is '{word.strip()}', which means a missing value, and 1 rows more" in message
        assert "line 1502: the item is" in refusal(write(tmp_path, numbers(f"1,{word}")))

    def test_a_word_among_numbers(self, tmp_path):
        path = write(tmp_path, numbers("total,3"))
        message = refusal(path)
        assert "line 1502: the user is 'total', and all but 1 of 1,501 rows have numbers" in message
        assert "ids = 'text'" in message
        assert read(path, ids="text").n_users == 61

    @pytest.mark.parametrize("rows", ["1,2\n", "ann,2\n", "ann,bob\n"])
    def test_the_header_again(self, tmp_path, rows):
        message = refusal(write(tmp_path, f"user,item\n{rows}\nuser,item\n{rows}user,item\n"))
        assert "line 4: it repeats the column names, and so do 1 rows more" in message
        assert "repeats the column names" in refusal(write(tmp_path, numbers("\ufeffuser,item")))

    def test_blanks_and_normal_forms_make_no_twins(self, tmp_path):
        text = "user,item\nann,1\nann ,2\n ann,3\nJose\u0301,4\nJosé,5\n"
        assert read(write(tmp_path, text)).users.ids.to_list() == ["José", "ann"]
        assert read({"user": ["ann ", "ann"], "item": [1, 2]}).n_users == 1
        lines = "Jose\u0301 1\nJosé 2\n"
        assert read(write(tmp_path, lines, "s.txt"), "user_lists").n_users == 1

    def test_the_same_column_twice(self, tmp_path):
        assert "2 columns are named 'item'" in refusal(write(tmp_path, "user,item,item\n1,2,3\n"))
        text = "user,item,note,note\n1,2,3,4\n"
        assert len(read(write(tmp_path, text))) == 1

    @pytest.mark.parametrize("value", ["99999999999999999999", "9" * 10_000, "1e30", "-" + "9" * 30])
    def test_numbers_beyond_64_bits_are_text(self, tmp_path, value):
        assert read(write(tmp_path, f"user,item\n{value},2\n")).users.ids.to_list() == [value]

    @pytest.mark.parametrize("value", [1e30, 2.0**60, float("inf"), 1.5])
    def test_floats_that_are_no_ids(self, value):
        assert "the user is" in refusal({"user": [1.0, value], "item": [1, 2]})

    def test_encoding_text_in_a_vocabulary_of_whole_numbers(self):
        raw = ["7", " 7", "7.0", "007", "+7", "-0", "x", "", "7.5", "0"]
        assert Vocabulary.of([0, 7]).encode(raw).tolist() == [1, 1, 1, -1, -1, -1, -1, -1, -1, 0]

    def test_side_files_follow(self, tmp_path):
        write(tmp_path, "user_id:token\titem_id:token\nu\tann\nu\tbob\n", "t.inter")
        write(tmp_path, "item_id:token\tprice:float\n ann\t2\nbob\t3\n", "t.item")
        assert read(tmp_path).item_attributes["price"].value.tolist() == [2.0, 3.0]


class TestUsersFiles:
    @pytest.mark.parametrize(
        ("text", "want"),
        [
            ("user\n007\n", ["007"]),
            ("user\n007\n7\n", ["007", "7"]),
            ("user\n12\n\n7\n", [12, 7]),
            ("user\n12.0\n7.0\n", [12, 7]),
            ("user,age\n 12,3\n7 ,4\n", [12, 7]),
            ("name\tuser\nx\t12\n", [12]),
            ("name;user_id\r\nx;12\r\n", [12]),
            ('\ufeffuser\n"ann"\n bob\n', ["ann", "bob"]),
            ("user\n" + "".join(f"{n}\n" for n in range(LONG)) + "x9\n", [*map(str, range(LONG)), "x9"]),
        ],
    )
    def test_are_read_by_the_rules_of_logs(self, tmp_path, text, want):
        assert user_ids(write(tmp_path, text, "u.csv")).to_list() == want

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("user\n1\nNULL\n", "u.csv line 3: the user is 'NULL'"),
            ('user,x\n1,2\n"",3\n', "u.csv line 3: the user is empty"),
            ("who,x\n1,2\n", "its columns are who, x"),
            ("user,user\n1,2\n", "2 columns are named 'user'"),
            ("user,x\n1,2\n1\n", "line 3: it has 1 fields"),
            ("", "it is empty"),
            (b"user\n\xff\n", "is not UTF-8"),
            (b"PAR1\x00\x00", "zero bytes"),
        ],
    )
    def test_are_refused_in_one_line(self, tmp_path, text, found):
        with pytest.raises(DataError) as caught:
            user_ids(write(tmp_path, text, "u.csv"))
        assert found in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_that_are_missing_or_no_parquet(self, tmp_path):
        for path in (tmp_path / "u.csv", tmp_path / "u.parquet", write(tmp_path, "PAR1", "v.parquet"), tmp_path):
            with pytest.raises(DataError):
                user_ids(path)


class TestTimes:
    @pytest.mark.parametrize("odd", [0, -1, 2**63 - 1, T0 * 1000, 20_140_513, 631_151_999, 4_102_444_800])
    @pytest.mark.parametrize("unit", ["s", "ms", "us"])
    def test_a_row_outside_the_range_is_named(self, tmp_path, odd, unit):
        factor = {"s": 1, "ms": 1000, "us": 1_000_000}[unit]
        value = min(odd * factor, 2**63 - 1)
        rows = "".join(f"1,{n},{T0 * factor}\n" for n in range(50))
        message = refusal(write(tmp_path, f"user,item,time\n{rows}2,1,{value}\n2,2,{value}\n"), time_unit=unit)
        assert "line 52: its time is " in message
        assert "and 1 rows more are outside; expected times from 1990-01-01 to 2100-01-01" in message

    @pytest.mark.parametrize("odd", [631_152_000, 4_102_444_799])
    def test_the_range_is_inclusive_and_exclusive(self, tmp_path, odd):
        assert read(write(tmp_path, f"user,item,time\n1,2,{odd}\n")).time.tolist() == [odd]

    def test_dates_and_moments_are_judged_too(self, tmp_path):
        path = write(tmp_path, "user,item,date\n1,2,2014-01-01\n1,3,1899-12-31\n")
        assert "line 3: its time is 1899-12-31T00:00:00" in refusal(path)
        assert "row 1: its time is" in refusal({"user": [1], "item": [1], "time": [date(2200, 1, 1)]})

    def test_an_option_widens_or_narrows_it(self, tmp_path):
        path = write(tmp_path, f"user,item,time\n1,2,0\n1,3,{T0}\n")
        assert read(path, time_range=["1970-01-01", "2100-01-01"]).time.tolist() == [0, T0]
        assert "line 3" in refusal(path, time_range=["1970-01-01", "2000-01-01"])

    def test_seconds_read_as_milliseconds(self, tmp_path):
        path = write(tmp_path, f"user,item,time\n1,2,{T0}\n")
        assert "1970-01-17" in refusal(path, time_unit="ms")
        assert "look at time_unit" in refusal(path, time_unit="ms")

    @pytest.mark.parametrize(
        ("form", "looks"),
        [
            ("%Y%m%d", "YYYYMMDD"),
            ("%Y%m%d%H", "YYYYMMDDHH"),
            ("%y%m%d%H%M", "YYMMDDHHMM"),
            ("%Y%m%d%H%M", "YYYYMMDDHHMM"),
            ("%Y%m%d%H%M%S", "YYYYMMDDHHMMSS"),
        ],
    )
    def test_dates_in_digits(self, tmp_path, form, looks):
        days = [datetime(2023, 1, 1) + timedelta(hours=35 * n) for n in range(50)]
        rows = "".join(f"1,{n},{day:{form}}\n" for n, day in enumerate(days))
        assert f"like {looks}" in refusal(write(tmp_path, f"user,item,time\n{rows}"))

    @pytest.mark.parametrize("value", ["1e30", "99999999999999999999", "9" * 10_000, "inf", "-1e300"])
    @pytest.mark.parametrize("unit", ["s", "ms"])
    def test_numbers_beyond_64_bits(self, tmp_path, value, unit):
        message = refusal(write(tmp_path, f"user,item,time\n1,2,{T0}\n1,3,{value}\n"), time_unit=unit)
        assert "line 3: time " in message


class TestWeights:
    def test_below_zero_must_be_asked_for(self, tmp_path):
        path = write(tmp_path, "user,item,rating\n1,2,5\n1,3,-5\n")
        assert "line 3: weight -5.0; expected 0 or more. Say min_weight = 0" in refusal(path)
        assert read(path, min_weight=0).weight.tolist() == [5.0]
        assert sorted(read(path, min_weight=-5).weight.tolist()) == [-5.0, 5.0]
        assert read(path, weight="").weight is None

    @pytest.mark.parametrize("value", ["1e300", "1e39", "9" * 10_000])
    def test_beyond_float32(self, tmp_path, value):
        assert "line 2: weight " in refusal(write(tmp_path, f"user,item,rating\n1,2,{value}\n"))
        if len(value) < 10:
            assert "row 1: weight " in refusal({"user": [1], "item": [1], "rating": [float(value)]})


class TestLists:
    @pytest.mark.parametrize("text", ["1, 5, 6, 7\n", "1 5\n2 3;4\n", "1, 5\n"])
    @pytest.mark.parametrize("kind", ["user_lists", "sequences"])
    def test_commas_and_semicolons(self, tmp_path, text, kind):
        message = refusal(write(tmp_path, text, "s.txt"), kind)
        assert "has a comma or semicolon in it; expected a user and its items cut by spaces" in message

    def test_words_for_missing_and_words_among_numbers(self, tmp_path):
        assert "line 2: the item is 'nan'" in refusal(write(tmp_path, "1 2\n1 nan\n", "s.txt"), "sequences")
        path = write(tmp_path, "1 2 3\n" * 200 + "x 5\n", "s.txt")
        assert "line 201: the user is 'x'" in refusal(path, "user_lists")
        assert read(path, "user_lists", ids="text").users.ids.to_list() == ["1", "x"]


def test_a_header_of_many_columns(tmp_path):
    names = ["user", "item", *(f"column{n}" for n in range(20_000))]
    text = ",".join(names) + "\n" + ",".join("1" * len(names)) + "\n"
    assert len(text.split("\n")[0]) > 65536
    assert len(read(write(tmp_path, text))) == 1


ODD_CELLS = st.sampled_from(
    ["", " ", "7", "007", "+7", "-0", "7.0", "NULL", "nan", "x", "user", "item", "1e30", "9" * 40, '"', '""', '"a"',
     '"a', 'a"b', '"a,b"', '"a\nb"', "\ufeff", "é", "\x00", "\r", "inf", "-1", "1.5", "2014-05-13", "2014-05-13 10:00",
     str(T0), str(T0 * 1000), "0x1", "1_0", "\u00a07", "#", "\\N", "\x1f", "::", "\t", "true", "-"]
)  # fmt: skip
HEADERS = st.sampled_from(["user", "item", "time", "rating", "x", "", '"user"', "user_id", " item", "1", "é", "user "])
EXAMPLES = int(os.environ.get("MATINEE_FUZZ", "60"))
"""How many examples each of the two tests below tries; 20,000 take minutes."""

fuzz = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def tables(draw):
    """A table with odd cells, most lines as long as the header, and numbers where the others are."""
    separator = draw(st.sampled_from([",", "\t", ";", "|", "::"]))
    header = draw(st.just(["user", "item", "time", "rating"]) | st.lists(HEADERS, min_size=1, max_size=5))
    plain = [str(n % 5) if name != "time" else str(T0) for n, name in enumerate(header)]
    rows = [list(plain) for _ in range(draw(st.sampled_from([0, 1, 3, 1001])))]
    for _ in range(draw(st.integers(0, 4))):
        row = [draw(ODD_CELLS) if draw(st.booleans()) else cell for cell in plain]
        if draw(st.integers(0, 9)) == 0:
            row = [*row, draw(ODD_CELLS)] if draw(st.booleans()) else row[:-1]
        rows.insert(draw(st.integers(0, len(rows))), row)
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return end.join(separator.join(row) for row in [header, *rows]).encode() + draw(st.sampled_from([b"", b"\n"]))


def reads_or_refuses(folder, content, options):
    path = write(folder, content)
    for kind in ("delimited", "sequences", "user_lists", "recbole"):
        for work in (
            lambda kind=kind: read(path, kind, **(options if kind == "delimited" else {})),
            lambda: user_ids(path),
        ):
            try:
                work()
            except MatineeError as error:
                assert "\n" not in str(error), error  # noqa: PT017


@fuzz
@given(
    tables(),
    st.sampled_from(
        [{}, {"separator": "::"}, {"ids": "text"}, {"time_unit": "order"}, {"time_unit": "ms"}, {"time": ""}]
    ),
)
def test_tables_with_odd_cells_are_read_or_refused(tmp_path, content, options):
    reads_or_refuses(tmp_path, content, options)


@fuzz
@given(
    st.sampled_from(
        [b"", b"user,item\n1,2\n", b"user_id:token\titem_id:token\n", b"\xef\xbb\xbfuser;item\n", b"1 2 3\n"]
    ),
    st.binary(max_size=80) | st.text('0123456789 ,;\t"\n\r.-+eé\ufeff', max_size=80).map(str.encode),
)
def test_bytes_are_read_or_refused(tmp_path, start, rest):
    reads_or_refuses(tmp_path, start + rest, {})
