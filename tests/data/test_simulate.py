from __future__ import annotations

import os
import stat
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numba
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from matinee.data import Interactions, Vocabulary
from matinee.data.attributes import MultiCategorical, Numeric, Text
from matinee.data.read import data_spec, read
from matinee.data.simulation.draw import user_stream
from matinee.data.simulation.items import item_sampler, item_table
from matinee.data.simulation.spec import Simulate
from matinee.data.write import write_log
from matinee.errors import DataError, MatineeError, SpecError


@pytest.fixture(scope="module")
def log() -> Interactions:
    return Simulate().read()


def test_size_is_exact_and_nobody_takes_anything_twice(log: Interactions) -> None:
    assert (log.n_users, len(log), log.time_kind) == (2_000, 200_000, "seconds")
    assert 980 <= log.n_items <= 1_000
    assert log.summary()["repeats"] == 0


@pytest.mark.parametrize(
    ("users", "items", "rows"), [(2, 10, 2), (2, 10, 10), (50, 60, 1_500), (300, 100, 4_999), (7, 5_000, 17_000)]
)
def test_any_size_is_exact(users: int, items: int, rows: int) -> None:
    small = Simulate(users=users, items=items, rows=rows, seed=3).read()
    assert (small.n_users, len(small), small.summary()["repeats"]) == (users, rows, 0)


def test_lengths_are_log_normal_above_a_least(log: Interactions) -> None:
    length = np.diff(log.offsets)
    assert length.min() >= 16
    assert length.max() <= 430
    spread = np.log(length[length < 430] - 15.5)
    assert abs(((spread - spread.mean()) ** 3).mean() / spread.std() ** 3) < 0.35  # the logarithm leans to no side
    assert 0.7 < spread.std() < 1.0


def test_the_same_knobs_give_the_same_log_on_any_number_of_threads(log: Interactions) -> None:
    before = numba.get_num_threads()
    try:
        prints = []
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            prints.append(Simulate().read().fingerprint)
    finally:
        numba.set_num_threads(before)
    assert prints == [log.fingerprint] * 2
    assert Simulate(seed=1).read().fingerprint != log.fingerprint


def test_streams_belong_to_people() -> None:
    """No two people share a stream, so no two histories are alike beyond what tastes explain."""
    states = {int(user_stream(seed, person)[0]) for seed in range(20) for person in range(500)}
    assert len(states) == 20 * 500
    even = Simulate(users=200, items=400, rows=200 * 30, n_clusters=1, drift=0, series=0, popularity=0).read()
    length = np.diff(even.offsets)
    chance = np.outer(length, length) / 400
    excess = ((even.matrix @ even.matrix.T).toarray() - chance) / np.sqrt(chance)
    assert excess[np.triu_indices(200, 1)].max() < 9  # two with one stream: 20
    gaps = np.array([np.diff(even.time[a:b])[:8] for a, b in zip(even.offsets, even.offsets[1:], strict=False)])
    assert len(np.unique(gaps, axis=0)) == 200


def test_raw_ids_are_no_codes(log: Interactions) -> None:
    for keys in (log.users, log.items):
        ids = keys.ids.to_numpy()
        assert (ids > np.arange(len(ids)) + 9).all()
        assert (np.diff(ids) > 1).mean() > 0.5


@pytest.mark.parametrize("users", [2_000, 20_000])
def test_popularity_is_a_law_of_few(users: int) -> None:
    popularity = np.sort(Simulate(users=users, rows=users * 50).read().popularity)[::-1]
    share = popularity[:100].sum() / popularity.sum()
    assert 0.4 < share < 0.7
    flat = np.sort(Simulate(users=users, rows=users * 50, popularity=0, drift=0, series=0).read().popularity)[::-1]
    assert 0.1 <= flat[:100].sum() / flat.sum() < 0.2


def parts(log: Interactions) -> list[list[int]]:
    """Codes of the parts of every series, in order, read off the titles."""
    assert log.titles is not None
    found = pl.DataFrame({"code": np.arange(log.n_items), "title": log.titles}).with_columns(
        name=pl.col("title").str.extract(r"^(Film \d+)"),
        part=pl.col("title").str.extract(r" (II|III|IV) \(").replace_strict({"II": 2, "III": 3, "IV": 4}, default=1),
    )
    groups = found.sort("name", "part").group_by("name", maintain_order=True).agg("code", "part")
    return [codes for codes, part in groups.select("code", "part").rows() if part[:2] == [1, 2]]


def test_series_are_taken_in_order(log: Interactions) -> None:
    series = parts(log)
    assert 30 < len(series) < 120
    first = np.full((log.n_users, log.n_items), np.iinfo(np.int64).max)
    first[log.user, log.item] = log.time
    ordered = both = soon = 0
    for codes in series:
        one, two = first[:, codes[0]], first[:, codes[1]]
        took = (one < np.iinfo(np.int64).max) & (two < np.iinfo(np.int64).max)
        both += took.sum()
        ordered += (one < two)[took].sum()
        soon += (two - one < 3_600)[took & (one < two)].sum()
    assert both > 1_000
    assert 0.85 < ordered / both < 0.995
    assert soon / both > 0.35


def test_those_who_took_part_one_take_part_two(log: Interactions) -> None:
    taken = log.matrix.toarray() > 0
    after = [taken[taken[:, codes[0]], codes[1]].mean() for codes in parts(log)]
    without = [taken[~taken[:, codes[0]], codes[1]].mean() for codes in parts(log)]
    assert np.mean(after) > 4 * np.mean(without)


def main_taste(log: Interactions, spec: Simulate) -> NDArray[np.int32]:
    """The planted main taste of every item of the log (n_items,)."""
    rng = np.random.Generator(np.random.PCG64(spec.seed))
    law = (spec.n_clusters, spec.popularity, spec.series, spec.drift)
    begin = int(datetime(spec.start.year, spec.start.month, spec.start.day, tzinfo=UTC).timestamp())
    items = item_table(rng, spec.items, law, (begin, spec.days * 86_400))
    return items.cluster[Vocabulary.of(pl.Series(items.raw)).encode(log.items.ids)]


def lift(log: Interactions, taste: NDArray[np.int32]) -> tuple[float, float]:
    """How much likelier two items are taken together than by chance, within a taste and between tastes."""
    together = (log.matrix.T @ log.matrix).toarray()
    popular = np.asarray(log.popularity, dtype=float)
    chance = np.outer(popular, popular) / log.n_users
    same = taste[:, None] == taste[None, :]
    pairs = ~np.eye(log.n_items, dtype=bool) & (chance > 1)
    return (
        float(together[pairs & same].sum() / chance[pairs & same].sum()),
        float(together[pairs & ~same].sum() / chance[pairs & ~same].sum()),
    )


def test_tastes_decide_what_is_taken_together() -> None:
    spec = Simulate(users=3_000, items=800, rows=120_000, series=0)
    made = spec.read()
    within, between = lift(made, main_taste(made, spec))
    assert 2.2 < within < 8
    assert 0.6 < between < 1.6
    rng = np.random.default_rng(0)
    shuffled = lift(made, rng.permutation(main_taste(made, spec)))
    assert abs(shuffled[0] - shuffled[1]) < 0.3


def halves(drift: float) -> float:
    """Correlation of the logarithms of popularity before and after the middle, of items that were out all along."""
    made = Simulate(users=4_000, items=400, rows=120_000, drift=drift).read()
    assert made.item_attributes is not None
    year = made.item_attributes["year"]
    assert isinstance(year, Numeric)
    middle = (int(made.time.min()) + int(made.time.max())) // 2
    early = np.bincount(made.item[made.time < middle], minlength=made.n_items)[year.value < 2005]
    late = np.bincount(made.item[made.time >= middle], minlength=made.n_items)[year.value < 2005]
    return float(np.corrcoef(np.log1p(early), np.log1p(late))[0, 1])


def test_drift_moves_popularity() -> None:
    still, moving = halves(0.0), halves(0.8)
    assert still > 0.95
    assert moving < still - 0.15


def test_time_runs_in_sessions(log: Interactions) -> None:
    gap = np.diff(log.time)[np.diff(log.user) == 0]
    assert gap.min() >= 1  # so the order inside a history is never a tie
    assert 0.95 < (gap < 600).mean() < 0.99
    assert np.median(gap[gap > 3_600]) > 86_400
    begin = datetime(2005, 4, 11, tzinfo=UTC).timestamp()
    assert log.time.min() >= begin
    assert log.time.max() < begin + 3_640 * 86_400
    single = np.array(
        [log.time[b - 1] - log.time[a] < 86_400 for a, b in zip(log.offsets, log.offsets[1:], strict=False)]
    )
    assert 0.1 < single.mean() < 0.6


def test_items_are_described_with_holes(log: Interactions) -> None:
    facts = log.item_attributes
    assert facts is not None
    title, year, genres, directors = (facts[name] for name in ("title", "year", "genres", "directors"))
    assert isinstance(title, Text)
    assert isinstance(year, Numeric)
    assert isinstance(genres, MultiCategorical)
    assert isinstance(directors, MultiCategorical)
    assert title.value.null_count() == 0
    assert 0 < np.isnan(year.value).mean() < 0.02
    said = title.value.str.extract(r"\((\d{4})\)$").cast(pl.Float64).to_numpy()
    assert (said == year.value)[~np.isnan(year.value)].all()
    assert np.diff(genres.offsets).min() >= 1
    assert 0.1 < (np.diff(directors.offsets) == 0).mean() < 0.3
    assert len(genres.values) == 18


def test_nothing_is_taken_before_its_year(log: Interactions) -> None:
    assert log.item_attributes is not None
    year = log.item_attributes["year"]
    assert isinstance(year, Numeric)
    taken = log.time.astype("datetime64[s]").astype("datetime64[Y]").astype(int) + 1970
    known = ~np.isnan(year.value[log.item])
    assert (taken[known] >= year.value[log.item][known]).all()
    assert (year.value[log.item][known] > 2005).mean() > 0.02


def test_takes_repeat_when_asked() -> None:
    made = Simulate(users=200, items=100, rows=6_000, repeat_rate=0.3).read()
    repeats = made.summary()["repeats"]
    assert isinstance(repeats, int)
    assert 0.25 < repeats / 6_000 < 0.32
    assert (
        len(Simulate(users=200, items=100, rows=6_000, repeat_rate=0.3, duplicates="merge").read()) == 6_000 - repeats
    )


def test_parts_of_a_series_are_one_taste_and_come_out_in_turn() -> None:
    rng = np.random.default_rng(1)
    items = item_table(rng, 600, (7, 1.0, 0.5, 1.0), (0, 86_400 * 3_000))
    table = item_sampler(items, 7, 1.0)
    inside = np.flatnonzero(items.part > 1)
    assert 100 < len(inside) < 300
    for item in inside:
        before = table.prequel[item]
        assert table.sequel[before] == item
        assert items.part[before] == items.part[item] - 1
        assert items.cluster[before] == items.cluster[item]
        assert items.release[before] <= items.release[item]
        assert items.year[before] <= items.year[item]


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"users": 10, "items": 10, "rows": 51}, "rows between 10 .* and 50"),
        ({"users": 10, "items": 10, "rows": 9}, "rows between"),
        ({"users": 2, "items": 900_000, "rows": 800_000, "days": 1}, "days enough"),
        ({"n_clusters": 0}, "n_clusters"),
        ({"n_cluster": 3}, "did you mean 'n_clusters'"),
    ],
)
def test_knobs_that_cannot_be_are_refused(knobs: dict[str, int], said: str) -> None:
    with pytest.raises(MatineeError, match=said):
        data_spec({"kind": "simulate", **knobs}, "data")


def test_it_is_a_kind_of_data_and_every_knob_has_a_sentence() -> None:
    spec = data_spec({"kind": "simulate", "rows": 20_000, "start": date(2020, 1, 1)}, "data")
    assert isinstance(spec, Simulate)
    assert data_spec(spec.to_dict(), "data") == spec
    for name, knob in Simulate.model_fields.items():
        assert knob.description, name
        assert knob.description.endswith("."), name
    with pytest.raises(SpecError):
        Simulate(users=1)


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    made = Simulate(users=60, items=80, rows=1_200).read()
    for name in ("log.csv", "log.parquet", "competition"):
        write_log(made, tmp_path / "deep" / name)
        back = read(tmp_path / "deep" / name)
        assert replace(back, item_attributes=None).fingerprint == replace(made, item_attributes=None).fingerprint, name
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["competition", "log.csv", "log.parquet"]
    assert made.item_attributes is not None
    assert back.item_attributes is not None
    assert back.titles is not None
    assert back.titles.equals(made.titles)
    for attribute, column in made.item_attributes.columns.items():
        other = back.item_attributes[attribute]
        if isinstance(column, Numeric) and isinstance(other, Numeric):
            np.testing.assert_array_equal(other.value, column.value)
        if isinstance(column, MultiCategorical) and isinstance(other, MultiCategorical):
            assert column.values == other.values
            np.testing.assert_array_equal(other.offsets, column.offsets)
            np.testing.assert_array_equal(other.code, column.code)


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    made = Simulate(users=10, items=20, rows=100).read()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="it is there already"):
        write_log(made, tmp_path / "mine")
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Simulate(users=10, items=20, rows=100).read()

    def full(self: pl.DataFrame, file: Path) -> None:
        Path(file).write_text("half")
        raise OSError("no space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(OSError, match="no space"):
        write_log(made, tmp_path / "log.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_size_of_the_competition() -> None:
    made = Simulate(users=31_360, items=6_807, rows=5_154_471).read()
    assert (made.n_users, len(made)) == (31_360, 5_154_471)
    assert 6_790 <= made.n_items <= 6_807
    length = np.percentile(np.diff(made.offsets), [0, 25, 50, 75, 90, 100])
    np.testing.assert_allclose(length[1:], [71, 114, 200, 335, 2_912], rtol=0.1)  # the real log's quartiles
    popularity = np.percentile(made.popularity, [25, 50, 75, 100])
    np.testing.assert_allclose(popularity, [90, 197, 610, 19_699], rtol=0.25)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o755), (0o077, 0o700)])
def test_a_new_folder_has_the_rights_of_any_new_folder(tmp_path: Path, mask: int, mode: int) -> None:
    """Not those of the folder it is in, which may be one that everybody may write to."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    before = os.umask(mask)
    try:
        write_log(Simulate(users=10, items=20, rows=60).read(), shared / "mine")
    finally:
        os.umask(before)
    assert stat.S_IMODE((shared / "mine").stat().st_mode) == mode
