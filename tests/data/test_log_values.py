"""The values: Vocabulary, Interactions, Histories, Attributes."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matinee.data import Attributes, Histories, Interactions, Vocabulary
from matinee.data.attributes import (
    Categorical,
    MultiCategorical,
    Numeric,
    Text,
    categorical,
    multi_categorical,
    numeric,
    text,
)
from matinee.errors import DataError

SPARSE = [-(2**62), 5, 2**62]


class TestVocabulary:
    @pytest.mark.parametrize("raw", [[3, 1, 2, 3], [10**12, 5, -7], SPARSE, ["b", "a", "a", "é"], [0]])
    def test_codes_are_positions_in_sorted_distinct_ids(self, raw):
        vocabulary = Vocabulary.of(raw)
        assert vocabulary.ids.to_list() == sorted(set(raw))
        assert vocabulary.encode(raw).tolist() == [sorted(set(raw)).index(x) for x in raw]
        assert vocabulary.decode(vocabulary.encode(raw)).to_list() == raw
        assert vocabulary.encode(raw).dtype == np.int32

    @pytest.mark.parametrize("raw", [[3, 1, 9], SPARSE])
    def test_unknown_and_null_whole_numbers(self, raw):
        codes = Vocabulary.of(raw).encode(pl.Series([4, None, min(raw), max(raw), max(raw) + 1, min(raw) - 1]))
        assert codes.tolist() == [-1, -1, 0, len(raw) - 1, -1, -1]

    def test_unknown_and_null_text(self):
        vocabulary = Vocabulary.of(["b", "a"])
        assert vocabulary.encode(pl.Series(["b", None, "z", "a", ""])).tolist() == [1, -1, -1, 0, -1]
        assert vocabulary.decode(np.array([1, -1, 0])).to_list() == ["b", None, "a"]

    def test_the_other_type_is_unknown_or_converted(self):
        assert Vocabulary.of([1, 2]).encode(["2", "x", "9"]).tolist() == [1, -1, -1]
        assert Vocabulary.of(["1", "2"]).encode([2, 7]).tolist() == [1, -1]

    def test_empty(self):
        assert Vocabulary.of([]).encode([1, 2]).tolist() == [-1, -1]
        assert Vocabulary.of([1]).encode([]).tolist() == []

    def test_equality_is_of_the_ids(self):
        assert Vocabulary.of([2, 1]) == Vocabulary.of([1, 2, 2])
        assert Vocabulary.of([1, 2]) != Vocabulary.of([1, 3])
        assert Vocabulary.of([1, 2]) != Vocabulary.of(["1", "2"])
        assert len({Vocabulary.of([1]), Vocabulary.of([1])}) == 1

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.integers(-(2**60), 2**60) | st.integers(-9, 9), min_size=1), st.lists(st.integers(-9, 9)))
    def test_encode_is_that_of_a_dictionary(self, known, asked):
        vocabulary = Vocabulary.of(known)
        table = {x: n for n, x in enumerate(sorted(set(known)))}
        both = [*asked, *known]
        assert vocabulary.encode(both).tolist() == [table.get(x, -1) for x in both]


rows = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(0, 3)), max_size=50)


def make(raw, weights=None):
    user, item, time = (np.array([r[c] for r in raw], dtype=kind) for c, kind in enumerate(("i4", "i4", "i8")))
    vocabularies = Vocabulary.of(range(6)), Vocabulary.of(range(7))
    weight = None if weights is None else np.array(weights, dtype=np.float32)
    return Interactions.of(vocabularies, user, item, time, "seconds", weight)


class TestInteractions:
    @settings(max_examples=150, deadline=None)
    @given(rows)
    def test_sorted_by_user_time_item(self, raw):
        log = make(raw, range(len(raw)))
        got = list(zip(log.user.tolist(), log.time.tolist(), log.item.tolist(), strict=True))
        assert got == sorted((u, t, i) for u, i, t in raw)
        assert sorted(zip(*([c.tolist() for c in (log.user, log.item, log.time, log.weight)]), strict=True)) == sorted(
            (u, i, t, n) for n, (u, i, t) in enumerate(raw)
        )

    @settings(max_examples=150, deadline=None)
    @given(rows)
    def test_matrices_are_those_of_a_slow_twin(self, raw):
        log = make(raw)
        counts = np.zeros((6, 7), dtype=np.float32)
        for user, item, _ in raw:
            counts[user, item] += 1
        assert np.array_equal(log.counts.toarray(), counts)
        assert np.array_equal(log.matrix.toarray(), counts > 0)
        assert log.popularity.tolist() == (counts > 0).sum(0).tolist()
        for matrix in (log.counts, log.matrix):
            assert matrix.dtype == np.float32
            assert matrix.shape == (6, 7)
            for r in range(6):
                columns = matrix.indices[matrix.indptr[r] : matrix.indptr[r + 1]]
                assert (np.diff(columns) > 0).all()

    def test_arrays_cannot_be_written(self):
        log = make([(0, 1, 2), (1, 1, 0)], [1, 2])
        for array in (log.user, log.item, log.time, log.weight, log.matrix.data, log.counts.data):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1

    def test_offsets_and_indices_cannot_be_written(self):
        log = make([(0, 1, 2), (1, 1, 0)])
        for array in (log.offsets, log.popularity, log.matrix.indices, log.counts.indices):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1

    def test_fingerprint_sees_every_part(self):
        base = [(0, 1, 2), (1, 1, 0)]
        same = make(base[::-1]).fingerprint
        assert make(base).fingerprint == same
        others = [
            make([(0, 2, 2), (1, 1, 0)]),
            make([(0, 1, 3), (1, 1, 0)]),
            make([(2, 1, 2), (1, 1, 0)]),
            make(base, [1, 1]),
            make(base, [1, 2]),
        ]
        assert len({same, *(log.fingerprint for log in others)}) == 6

    def test_where_keeps_vocabularies(self):
        log = make([(0, 1, 2), (1, 1, 0), (1, 2, 1)], [1, 2, 3])
        kept = log.filter(log.user == 1)
        assert kept.frame().rows() == [(1, 1, 0, 2.0), (1, 2, 1, 3.0)]
        assert kept.users is log.users
        assert kept.n_users == 6
        assert kept.offsets.tolist() == [0, 0, 2, 2, 2, 2, 2]

    def test_summary(self):
        summary = make([(0, 1, 2), (0, 1, 3), (1, 1, 0)]).summary()
        assert summary["rows"] == 3
        assert summary["repeats"] == 1
        assert summary["density"] == 2 / 42

    def test_nothing_at_all(self):
        log = make([])
        assert log.matrix.nnz == 0
        assert log.histories().padded(3).shape == (6, 3)


class TestHistories:
    @pytest.fixture
    def rows(self):
        return make([(0, 3, 5), (0, 1, 9), (0, 2, 7), (2, 6, 0)]).histories(np.array([0, 1, 2]))

    def test_oldest_first(self, rows):
        assert rows.item.tolist() == [3, 2, 1, 6]
        assert rows.time.tolist() == [5, 7, 9, 0]
        assert rows.offsets.tolist() == [0, 3, 3, 4]

    def test_last_and_padded(self, rows):
        assert rows.last().tolist() == [1, -1, 6]
        assert rows.padded(2).tolist() == [[2, 1], [-1, -1], [-1, 6]]
        assert rows.padded(4).tolist() == [[-1, 3, 2, 1], [-1, -1, -1, -1], [-1, -1, -1, 6]]
        assert rows.padded(4).dtype == np.int32

    def test_take_and_rows(self, rows):
        taken = rows.take(np.array([2, 0, 2, 1]))
        assert taken.user.tolist() == [2, 0, 2, 1]
        assert taken.offsets.tolist() == [0, 1, 4, 5, 5]
        assert taken.item.tolist() == [6, 3, 2, 1, 6]
        part = rows.rows(1, 3)
        assert part.user.tolist() == [1, 2]
        assert part.item.tolist() == [6]
        assert part.offsets.tolist() == [0, 0, 1]
        assert rows.rows(1, 99).item.tolist() == [6]

    def test_matrix_and_counts(self):
        rows = Histories.of([[3, 1, 3], []], Vocabulary.of(range(4)))
        assert rows.user.tolist() == [-1, -1]
        assert rows.counts.toarray().tolist() == [[0, 1, 0, 2], [0, 0, 0, 0]]
        assert rows.matrix.toarray().tolist() == [[0, 1, 0, 1], [0, 0, 0, 0]]
        assert rows.time.tolist() == [0, 1, 2]

    def test_read_only(self, rows):
        with pytest.raises(ValueError, match="read-only"):
            rows.item[0] = 1


class TestAttributes:
    @pytest.fixture
    def facts(self):
        keys = Vocabulary.of([10, 20, 30])
        return Attributes(
            keys,
            {
                "kind": categorical(keys, pl.Series([30, 10, 10, 99]), pl.Series(["b", "a", "b", "c"])),
                "genres": multi_categorical(
                    keys, pl.Series([10, 30, 10, 99]), pl.Series(["y", "y", "x", "z"]), pl.Series([1.0, 2.0, 3.0, 4.0])
                ),
                "year": numeric(keys, pl.Series([20, 10]), pl.Series([1999, 2001])),
                "title": text(keys, pl.Series([20, 10, 20]), pl.Series(["T20", "T10", "again"])),
            },
        )

    def test_columns(self, facts):
        assert facts["kind"].values.decode(facts["kind"].code).to_list() == ["a", None, "b"]
        genres = facts["genres"]
        assert genres.offsets.tolist() == [0, 2, 2, 3]
        assert genres.values.decode(genres.code).to_list() == ["x", "y", "y"]
        assert genres.weight.tolist() == [3.0, 1.0, 2.0]
        assert facts["year"].value.tolist()[:2] == [2001.0, 1999.0]
        assert np.isnan(facts["year"].value[2])
        assert facts.titles.to_list() == ["T10", "T20", None]
        assert "year" in facts
        assert "nope" not in facts

    def test_onto_another_vocabulary(self, facts):
        moved = facts.reindex(Vocabulary.of([5, 20, 30, 10]))
        assert moved.keys.ids.to_list() == [5, 10, 20, 30]
        assert moved["kind"].values.decode(moved["kind"].code).to_list() == [None, "a", None, "b"]
        assert moved["genres"].offsets.tolist() == [0, 0, 2, 2, 3]
        assert moved["genres"].weight.tolist() == [3.0, 1.0, 2.0]
        assert np.isnan(moved["year"].value[[0, 3]]).all()
        assert moved["year"].value.tolist()[1:3] == [2001.0, 1999.0]
        assert moved.titles.to_list() == [None, "T10", "T20", None]

    def test_fingerprint_sees_every_part(self, facts):
        keys = facts.keys
        again = {name: facts.columns[name] for name in reversed(list(facts.columns))}
        assert Attributes(keys, again).fingerprint == facts.fingerprint
        kind, genres, year = facts["kind"], facts["genres"], facts["year"]
        other_nan = np.where(np.isnan(year.value), -np.nan, year.value)
        assert facts.with_columns({"year": Numeric(other_nan)}).fingerprint == facts.fingerprint
        changed = [
            facts.reindex(Vocabulary.of([10, 20, 31])),
            Attributes(keys, {name: facts[name] for name in ("kind", "genres", "year")}),
            Attributes(keys, {("kin" if name == "kind" else name): column for name, column in facts.columns.items()}),
            facts.with_columns({"kind": Categorical(kind.values, np.array([0, -1, 0], dtype=np.int32))}),
            facts.with_columns({"kind": Categorical(Vocabulary.of(["a", "c"]), kind.code)}),
            facts.with_columns({"genres": MultiCategorical(genres.values, genres.offsets, genres.code)}),
            facts.with_columns(
                {"genres": MultiCategorical(genres.values, genres.offsets, genres.code, genres.weight + 1)}
            ),
            facts.with_columns(
                {"genres": MultiCategorical(genres.values, np.array([0, 1, 2, 3]), genres.code, genres.weight)}
            ),
            facts.with_columns({"year": Numeric(np.array([2001.0, 1999.0, 0.0]))}),
            facts.with_columns({"title": Text(pl.Series(["T10", "T20", ""]))}),
            facts.with_columns({"title": Text(pl.Series(["T10T", "20", None]))}),
        ]
        assert len({facts.fingerprint, *(one.fingerprint for one in changed)}) == len(changed) + 1

    def test_a_log_has_the_fingerprint_of_its_attributes_too(self, facts):
        log = Interactions.of((Vocabulary.of([1, 2]), facts.keys), [0, 1], [2, 0])
        assert log.fingerprint == "d975699c57a2b18ffe97a65945b23a502997c7fc2d8881f6563db420d4b13718"
        other = facts.with_columns({"year": Numeric(np.array([2001.0, 1999.0, 1980.0]))})
        logs = [log, *(replace(log, item_attributes=one) for one in (facts, other))]
        same = replace(log, item_attributes=facts.with_columns({}))
        assert len({one.fingerprint for one in logs}) == 3
        assert same.fingerprint == logs[1].fingerprint
        with pytest.raises(DataError, match="user_attributes: its ids are not those of the log"):
            replace(log, user_attributes=facts)

    def test_new_attributes_take_the_codes_of_the_fitted_ones(self, facts):
        keys = Vocabulary.of([10, 40])
        key = pl.Series([10, 40, 40])
        new = Attributes(
            keys,
            {
                "title": text(keys, key, pl.Series(["one", "two", "two"])),
                "more": numeric(keys, key, pl.Series([1, 2, 2])),
                "kind": categorical(keys, key, pl.Series(["aa", "b", "b"])),
                "genres": multi_categorical(keys, key, pl.Series(["a", "y", "w"]), pl.Series([1.0, 2.0, 3.0])),
                "year": numeric(keys, key, pl.Series([1, 2, 2])),
            },
        )
        moved = new.conform(facts.schema)
        assert list(moved.columns) == list(facts.columns)
        assert moved["kind"].values == facts["kind"].values
        assert moved["kind"].code.tolist() == [-1, 1]
        assert moved["genres"].values == facts["genres"].values
        assert moved["genres"].offsets.tolist() == [0, 0, 1]
        assert moved["genres"].code.tolist() == [1]
        assert moved["genres"].weight.tolist() == [2.0]
        assert (moved["kind"].code.dtype, moved["genres"].code.dtype) == ("int32", "int32")
        assert moved["year"].value.tolist() == [1.0, 2.0]
        assert moved.titles.to_list() == ["one", "two"]
        assert facts.conform(facts.schema).fingerprint == facts.fingerprint
        assert moved.schema == facts.schema

    def test_columns_that_do_not_conform_are_refused(self, facts):
        few = Attributes(facts.keys, {"kind": facts["year"], "year": facts["year"]})
        with pytest.raises(DataError, match="attributes: without 'genres', 'title'; expected the columns kind, genres"):
            few.conform(facts.schema)
        with pytest.raises(DataError, match="'kind' is of the type Numeric; expected Categorical"):
            few.with_columns({"genres": facts["genres"], "title": facts["title"]}).conform(facts.schema)

    def test_from_no_rows_everything_is_missing(self):
        none = Vocabulary.of(pl.Series("id", [], dtype=pl.Int64))
        empty, words = pl.Series([], dtype=pl.Int64), pl.Series([], dtype=pl.String)
        facts = Attributes(
            none,
            {
                "kind": categorical(none, empty, words),
                "genres": multi_categorical(none, empty, words),
                "year": numeric(none, empty, pl.Series([], dtype=pl.Float64)),
                "title": text(none, empty, words),
            },
        )
        moved = facts.reindex(Vocabulary.of([1, 2]))
        assert moved["kind"].code.tolist() == [-1, -1]
        assert moved["genres"].offsets.tolist() == [0, 0, 0]
        assert np.isnan(moved["year"].value).all()
        assert moved.titles.to_list() == [None, None]
