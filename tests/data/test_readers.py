"""Every reader on files of a few lines."""

import gzip
from datetime import date, datetime

import numpy as np
import polars as pl
import pytest
from scipy.sparse import coo_array, csr_array, save_npz

from matinee.data.attributes import Categorical, MultiCategorical, Numeric
from matinee.data.read import READERS, data_spec, detect_kind, read
from matinee.errors import SpecError, UnknownNameError

T0 = 1_400_000_000


def rows(log):
    """The log as tuples of raw ids, times and weights."""
    return log.frame().rows()


def many_of(column, row):
    return column.values.decode(column.code[column.offsets[row] : column.offsets[row + 1]]).to_list()


def write(path, text, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


class TestDelimited:
    def test_reads_sorts_and_keeps_every_role(self, tmp_path):
        text = f"user,item,time,rating\n2,7,{T0 + 5},3.5\n1,7,{T0 + 9},4\n1,5,{T0},1\n"
        log = read(write(tmp_path / "log.csv", text))
        assert rows(log) == [(1, 5, T0, 1.0), (1, 7, T0 + 9, 4.0), (2, 7, T0 + 5, 3.5)]
        assert log.time_kind == "seconds"
        assert log.user_attributes is None
        assert log.item_attributes is None

    @pytest.mark.parametrize(
        ("header", "separator"),
        [
            ("user,item,time,rating", ","),
            ("UserID\tMovie_ID\tTimestamp\tScore", "\t"),
            ("profile_id;album id;Rated_At;VALUE", ";"),
            ("uid|iid|ts|count", "|"),
            ("user_idx,video_id,datetime,weight", ","),
            ("Customer,Product_Id,date,Rating", ","),
        ],
    )
    def test_finds_columns_by_alias_and_the_separator(self, tmp_path, header, separator):
        line = separator.join(["1", "5", str(T0), "2"])
        log = read(write(tmp_path / "log.txt", f"{header}\n{line}\n"))
        assert rows(log) == [(1, 5, T0, 2.0)]

    def test_knobs_name_columns_over_aliases(self, tmp_path):
        path = write(tmp_path / "log.csv", f"user,who,item,what,time,rating\n1,9,2,8,{T0},5\n")
        assert rows(read(path, user="who", item="what", time="", weight="")) == [(9, 8)]

    def test_an_alias_is_not_taken_from_a_column_named_for_another_role(self, tmp_path):
        path = write(tmp_path / "log.csv", "user,item,count\n1,2,3\n")
        with pytest.raises(Exception, match="no column for the item"):
            read(path, user="item", item=None)

    def test_without_times_the_clock_is_none(self, tmp_path):
        log = read(write(tmp_path / "log.csv", "user,item\n1,3\n1,2\n"))
        assert log.time_kind == "none"
        assert log.time.tolist() == [0, 0]
        assert rows(log) == [(1, 2), (1, 3)]

    @pytest.mark.parametrize("separator", [None, "::", ","])
    def test_separator_may_be_named_or_long(self, tmp_path, separator):
        cut = separator or ","
        path = write(tmp_path / "log.csv", f"user{cut}item\n1{cut}2\n")
        assert rows(read(path, separator=separator)) == [(1, 2)]

    @pytest.mark.parametrize(
        "written",
        [
            "2014-05-13 16:53:20",
            "2014-05-13T16:53:20",
            "2014-05-13T16:53:20Z",
            "2014-05-13T18:53:20+02:00",
            "2014-05-13 16:53:20.750",
            "2014/05/13 16:53:20",
            "1400000000",
            "1400000000.75",
        ],
    )
    def test_times_in_iso_or_numbers(self, tmp_path, written):
        log = read(write(tmp_path / "log.csv", f"user,item,time\n1,2,{written}\n"))
        assert log.time.tolist() == [T0]
        assert log.time_kind == "seconds"

    def test_days_are_midnight_and_forms_may_mix(self, tmp_path):
        log = read(write(tmp_path / "log.csv", "user,item,time\n1,2,2014-05-13\n1,3,2014-05-13 00:01:00\n"))
        assert log.time.tolist() == [1399939200, 1399939260]

    @pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
    def test_time_units(self, tmp_path, unit, factor):
        path = write(tmp_path / "log.csv", f"user,item,time\n1,2,{T0 * factor}\n")
        assert read(path, time_unit=unit).time.tolist() == [T0]

    def test_order_only_becomes_positions_inside_each_user(self, tmp_path):
        path = write(tmp_path / "log.csv", "user,item,time\n1,5,70\n1,6,10\n1,7,10\n2,5,30\n")
        log = read(path, time_unit="order")
        assert log.time_kind == "order"
        assert rows(log) == [(1, 6, 0), (1, 7, 0), (1, 5, 1), (2, 5, 0)]

    def test_leading_zeros_make_ids_text(self, tmp_path):
        log = read(write(tmp_path / "log.csv", "user,item\n1,007\n1,7\n"))
        assert log.users.ids.to_list() == [1]
        assert log.items.ids.to_list() == ["007", "7"]

    def test_words_make_ids_text_even_after_the_first_thousand_rows(self, tmp_path):
        lines = "".join(f"{n},{n % 7}\n" for n in range(1500))
        odd = "x9,3\n" * 20
        log = read(write(tmp_path / "log.csv", f"user,item\n{lines}{odd}"))
        assert log.users.is_text
        assert not log.items.is_text
        assert len(log) == 1520
        one = write(tmp_path / "one.csv", f"user,item\n{lines}x9,3\n")
        assert read(one, ids="text").users.is_text

    def test_ids_as_text_when_asked(self, tmp_path):
        log = read(write(tmp_path / "log.csv", "user,item\n10,2\n9,2\n"), ids="text")
        assert log.users.ids.to_list() == ["10", "9"]

    def test_ids_beyond_64_bits_are_text(self, tmp_path):
        log = read(write(tmp_path / "log.csv", "user,item\n99999999999999999999,2\n"))
        assert log.users.ids.to_list() == ["99999999999999999999"]

    def test_gzip_bom_crlf_blank_lines_quotes_and_no_last_line_end(self, tmp_path):
        plain = read(write(tmp_path / "log.csv", "user,item\n1,2\n3,4\n"))
        zipped = tmp_path / "log.csv.gz"
        zipped.write_bytes(gzip.compress(b"user,item\n1,2\n3,4\n"))
        odd = write(tmp_path / "odd.csv", '\ufeffuser,item\r\n\r\n1,"2"\r\n\r\n3,4')
        assert plain.fingerprint == read(zipped).fingerprint == read(odd).fingerprint

    def test_row_order_does_not_change_the_fingerprint(self, tmp_path):
        rng = np.random.default_rng(3)
        lines = [f"u{rng.integers(9)},{rng.integers(9)},{T0 + rng.integers(3)},{rng.integers(4)}" for _ in range(300)]
        seen = set()
        for n in range(4):
            path = write(tmp_path / f"{n}.csv", "\n".join(["user,item,time,rating", *lines]) + "\n")
            seen.add((read(path).fingerprint, read(path, duplicates="merge").fingerprint))
            rng.shuffle(lines)
        assert len(seen) == 1


class TestFilters:
    @pytest.fixture
    def path(self, tmp_path):
        text = (
            "user,item,time,rating\n1,1,2014-01-01,1\n1,2,2014-01-02,2\n2,1,2014-01-03,3\n2,2,2014-01-03 12:00:00,4\n"
        )
        return write(tmp_path / "log.csv", text)

    def test_min_weight_keeps_its_bound(self, path):
        assert [r[3] for r in rows(read(path, min_weight=2))] == [2.0, 3.0, 4.0]

    def test_since_is_inclusive_and_until_exclusive(self, path):
        log = read(path, since=date(2014, 1, 2), until=datetime(2014, 1, 3, 12))
        assert [r[:2] for r in rows(log)] == [(1, 2), (2, 1)]
        assert read(path, since="2014-01-02", until="2014-01-03T12:00:00").fingerprint == log.fingerprint

    def test_vocabularies_have_only_what_is_left(self, path):
        log = read(path, min_weight=4)
        assert log.users.ids.to_list() == [2]
        assert log.items.ids.to_list() == [2]


class TestRepeats:
    text = f"user,item,time,rating\n1,5,{T0 + 9},2\n1,5,{T0},3\n1,6,{T0 + 1},1\n2,5,{T0},1\n"

    def test_keep(self, tmp_path):
        assert len(read(write(tmp_path / "log.csv", self.text))) == 4

    def test_fold_keeps_the_earliest_row_and_adds_weights(self, tmp_path):
        log = read(write(tmp_path / "log.csv", self.text), duplicates="merge")
        assert rows(log) == [(1, 5, T0, 5.0), (1, 6, T0 + 1, 1.0), (2, 5, T0, 1.0)]

    def test_fold_without_weights(self, tmp_path):
        log = read(write(tmp_path / "log.csv", self.text), duplicates="merge", weight="")
        assert rows(log) == [(1, 5, T0), (1, 6, T0 + 1), (2, 5, T0)]

    def test_fold_of_an_order_leaves_no_hole(self, tmp_path):
        log = read(write(tmp_path / "s.txt", "1 5 5 6 5 7\n"), "sequences", duplicates="merge")
        assert rows(log) == [(1, 5, 0), (1, 6, 1), (1, 7, 2)]


class TestMovielens:
    def check(self, log):
        assert rows(log) == [(1, 10, T0, 4.0), (1, 20, T0 + 1, 3.0), (2, 10, T0 + 2, 5.0)]
        facts = log.item_attributes
        assert log.titles.to_list() == ["Café Society, The (1995)", "Nothing Known"]
        assert facts["year"].value.tolist()[0] == 1995
        assert np.isnan(facts["year"].value[1])
        assert isinstance(facts["genres"], MultiCategorical)
        assert many_of(facts["genres"], 0) == ["Comedy", "Drama"]
        assert many_of(facts["genres"], 1) == []

    def check_people(self, log):
        facts = log.user_attributes
        assert isinstance(facts["age"], Numeric)
        assert facts["age"].value.tolist() == [24.0, 53.0]
        assert isinstance(facts["sex"], Categorical)
        assert facts["sex"].values.decode(facts["sex"].code).to_list() == ["M", "F"]
        assert len(facts["occupation"].values) == 2

    def test_csv(self, tmp_path):
        write(
            tmp_path / "ratings.csv",
            f"userId,movieId,rating,timestamp\n1,10,4.0,{T0}\n1,20,3.0,{T0 + 1}\n2,10,5.0,{T0 + 2}\n",
        )
        films = (
            'movieId,title,genres\n10,"Café Society, The (1995)",Comedy|Drama\n20,Nothing Known,(no genres listed)\n'
        )
        films += "99,Other (2000),War\n"
        write(tmp_path / "movies.csv", films)
        log = read(tmp_path)
        self.check(log)
        assert log.user_attributes is None
        self.check(read(tmp_path / "ratings.csv", "movielens"))

    def test_dat(self, tmp_path):
        write(tmp_path / "ratings.dat", f"1::10::4::{T0}\n1::20::3::{T0 + 1}\n2::10::5::{T0 + 2}\n")
        write(tmp_path / "movies.dat", "10::Café Society, The (1995)::Comedy|Drama\n20::Nothing Known::\n", "latin-1")
        write(tmp_path / "users.dat", "1::M::24::10::48067\n2::F::53::16::70072\n")
        self.check(read(tmp_path))
        self.check_people(read(tmp_path / "ratings.dat"))

    def test_u_data(self, tmp_path):
        write(tmp_path / "u.data", f"1\t10\t4\t{T0}\n1\t20\t3\t{T0 + 1}\n2\t10\t5\t{T0 + 2}\n")
        comedy_drama = "|".join("1" if at in (5, 8) else "0" for at in range(19))
        unknown = "|".join("1" if at == 0 else "0" for at in range(19))
        films = f"10|Café Society, The (1995)|01-Jan-1995||http://x|{comedy_drama}\n20|Nothing Known||||{unknown}\n"
        write(tmp_path / "u.item", films, "latin-1")
        write(tmp_path / "u.user", "1|24|M|technician|85711\n2|53|F|other|94043\n")
        self.check(read(tmp_path))
        self.check_people(read(tmp_path / "u.data"))

    def test_a_log_alone_has_no_attributes(self, tmp_path):
        write(tmp_path / "ratings.dat", f"1::10::4::{T0}\n")
        assert read(tmp_path).item_attributes is None


class TestRecbole:
    @pytest.fixture
    def folder(self, tmp_path):
        write(
            tmp_path / "t.inter",
            f"user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\ta\t2\t{T0}\n2\tb\t3\t{T0}\n",
        )
        write(
            tmp_path / "t.item",
            "item_id:token\tmovie_title:token_seq\tclass:token_seq\tprice:float\tbrand:token\tv:float_seq\n"
            'a\tToy "Story\tx y\t2.5\tq\t0.5 1.5\nb\tHeat\ty\t\t\t2 3\n',
        )
        write(tmp_path / "t.user", "user_id:token\tage:float\n2\t30\n")
        return tmp_path

    @pytest.mark.parametrize("name", ["", "t.inter", "t"])
    def test_folder_file_or_prefix(self, folder, name):
        log = read(folder / name if name else folder)
        assert rows(log) == [(1, "a", T0, 2.0), (2, "b", T0, 3.0)]
        facts = log.item_attributes
        assert log.titles.to_list() == ['Toy "Story', "Heat"]
        assert many_of(facts["class"], 0) == ["x", "y"]
        assert facts["price"].value[0] == 2.5
        assert np.isnan(facts["price"].value[1])
        assert facts["brand"].code.tolist() == [0, -1]
        assert facts["v"].weight.tolist() == [0.5, 1.5, 2.0, 3.0]
        assert facts["v"].code.tolist() == [0, 1, 0, 1]
        assert np.isnan(log.user_attributes["age"].value[0])
        assert log.user_attributes["age"].value[1] == 30

    def test_log_without_times_or_side_files(self, tmp_path):
        log = read(write(tmp_path / "t.inter", "user_id:token\titem_id:token\n1\t2\n"))
        assert rows(log) == [(1, 2)]
        assert log.item_attributes is None


class TestCompetition:
    @pytest.mark.parametrize("sub", ["", "train"])
    def test_folder(self, tmp_path, sub):
        folder = tmp_path / sub
        write(folder / "train_ratings.csv", f"user,item,time\n11,4,{T0}\n11,5,{T0 + 1}\n")
        write(folder / "titles.tsv", 'item\ttitle\n4\t"Quoted" Film (1999)\n5\tÉté\n')
        write(folder / "years.tsv", "item\tyear\n4\t1999\n")
        write(folder / "genres.tsv", "item\tgenre\n4\tDrama\n4\tComedy\n5\tDrama\n")
        write(folder / "directors.tsv", "item\tdirector\n5\tnm1\n")
        log = read(tmp_path)
        assert rows(log) == [(11, 4, T0), (11, 5, T0 + 1)]
        assert sorted(log.item_attributes.columns) == ["directors", "genres", "title", "year"]
        assert log.titles.to_list() == ['"Quoted" Film (1999)', "Été"]
        assert many_of(log.item_attributes["genres"], 0) == ["Comedy", "Drama"]
        assert many_of(log.item_attributes["directors"], 0) == []
        assert log.item_attributes["year"].value[0] == 1999


class TestRows:
    def test_sequences_keep_the_order(self, tmp_path):
        log = read(write(tmp_path / "s.txt", "2 9 3 9\n1 5\n\n3\n"), "sequences")
        assert log.time_kind == "order"
        assert rows(log) == [(1, 5, 0), (2, 9, 0), (2, 3, 1), (2, 9, 2)]

    def test_a_user_may_go_on_in_a_later_line(self, tmp_path):
        log = read(write(tmp_path / "s.txt", "1 9 3\n2 4\n1 1"), "sequences")
        assert rows(log) == [(1, 9, 0), (1, 3, 1), (1, 1, 2), (2, 4, 0)]

    def test_user_lists_have_no_order(self, tmp_path):
        log = read(write(tmp_path / "s.txt", "0 9 3\r\n1\r\n2\t4 \r\n"), "user-lists")
        assert log.time_kind == "none"
        assert rows(log) == [(0, 3), (0, 9), (2, 4)]
        assert log.users.ids.to_list() == [0, 2]

    @pytest.mark.parametrize("text", ["u1 a b\nu2 c\n", "1 007 7\n", "1 99999999999999999999 2\n", "1 -4 2\n"])
    def test_words_are_read_too(self, tmp_path, text):
        log = read(write(tmp_path / "s.txt", text), "sequences")
        want = [(w[0], i, n) for w in map(str.split, text.splitlines()) for n, i in enumerate(w[1:])]
        assert [tuple(map(str, r)) for r in rows(log)] == [
            tuple(map(str, r)) for r in sorted(want, key=lambda r: (r[0], r[2]))
        ]


class TestCsr:
    def test_ones_are_no_weights(self, tmp_path):
        save_npz(tmp_path / "m.npz", csr_array(np.array([[0, 1, 0], [0, 0, 0], [1, 1, 0]])))
        log = read(tmp_path / "m.npz")
        assert rows(log) == [(0, 1), (2, 0), (2, 1)]
        assert log.weight is None
        assert log.time_kind == "none"

    def test_other_values_are_weights(self, tmp_path):
        save_npz(tmp_path / "m.npz", coo_array(([2.5, 1.0], ([0, 1], [3, 0])), shape=(2, 4)))
        assert rows(read(tmp_path / "m.npz")) == [(0, 3, 2.5), (1, 0, 1.0)]


def test_parquet_equals_csv(tmp_path):
    frame = pl.DataFrame({"userId": [2, 1], "sku": ["b", "a"], "ts": [T0, T0 + 1], "price": [1.0, 2.0]})
    frame.write_csv(tmp_path / "a.csv")
    frame.write_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.csv").fingerprint == read(tmp_path / "a.parquet").fingerprint


class TestKinds:
    def test_every_reader_is_found_and_says_what_it_reads(self):
        assert READERS.names() == [
            "competition", "csr", "delimited", "movielens", "parquet", "recbole", "sequences", "user_lists",
        ]  # fmt: skip
        for name in READERS.names():
            reader = READERS.get(name)
            assert reader.__doc__
            for knob, field in reader.model_fields.items():
                assert field.description, (name, knob)
                assert field.is_required() == (knob == "path")

    def test_a_spec_survives_writing(self, tmp_path):
        for name in READERS.names():
            spec = READERS.get(name)(path=tmp_path / "x", k_core=3, since=date(2014, 1, 2))
            assert spec.to_dict()["kind"] == name
            assert data_spec(spec.to_dict(), "data") == spec
            assert hash(data_spec(spec.to_dict(), "data")) == hash(spec)

    def test_data_spec_knows_readers_data_sets_and_simulated_logs(self, tmp_path):
        assert data_spec({"kind": "user-lists", "path": "x"}, "data").kind == "user_lists"
        assert data_spec({"kind": "ml-100k", "k_core": 5}, "data").kind == "ml-100k"
        assert data_spec({"kind": "simulate"}, "data").kind == "simulate"
        assert data_spec({"path": str(tmp_path / "x.csv")}, "data").kind == "delimited"

    def test_unknown_kinds_and_knobs_offer_the_nearest(self):
        with pytest.raises(
            UnknownNameError,
            match=r"data: there is no data set or reader 'ml-100'; did you mean 'ml-100k'\? .*simulate",
        ):
            data_spec({"kind": "ml-100"}, "data")
        with pytest.raises(UnknownNameError, match=r"data \(csr\): there is no option 'cor'; did you mean 'k_core'"):
            data_spec({"kind": "csr", "path": "x", "cor": 3}, "data")
        with pytest.raises(SpecError, match=r"data: no kind is given; expected kind = one of .*ml-100k"):
            data_spec({}, "data")
        with pytest.raises(SpecError, match="greater than or equal to 1"):
            data_spec({"kind": "csr", "path": "x", "k_core": 0}, "data")

    def test_guessed_kinds(self, tmp_path):
        assert detect_kind(tmp_path / "a.tsv.gz") == "delimited"
        assert detect_kind(tmp_path / "a.parquet") == "parquet"
        assert detect_kind(tmp_path / "a.inter") == "recbole"
        assert detect_kind(tmp_path / "a.npz") == "csr"
        assert detect_kind(write(tmp_path / "a.txt", "user_id\titem_id\n1\t2\n")) == "delimited"
        zipped = tmp_path / "b.gz"
        zipped.write_bytes(gzip.compress(b"user,item\n1,2\n"))
        assert detect_kind(zipped) == "delimited"
