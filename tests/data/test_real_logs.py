"""The research logs beside the project load with their documented sizes."""

from pathlib import Path

import pytest

from matinee.data.attributes import MultiCategorical
from matinee.data.read import read

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [pytest.mark.real, pytest.mark.skipif(not DATA.is_dir(), reason="no research data beside the project")]


def size(log):
    return log.n_users, log.n_items, len(log)


def test_ml_latest_small():
    log = read(DATA / "ml-latest-small")
    assert size(log) == (610, 9_724, 100_836)
    assert log.time_kind == "seconds"
    assert log.titles[0] == "Toy Story (1995)"
    assert log.titles.null_count() == 0
    assert "(no genres listed)" not in log.item_attributes["genres"].values.ids
    assert log.item_attributes["year"].value[0] == 1995
    core = read(DATA / "ml-latest-small", k_core=5)
    assert core.popularity.min() >= 5
    assert core.matrix.sum(axis=1).min() >= 5


def test_beauty():
    log = read(DATA / "beauty" / "Beauty.txt", "sequences")
    assert size(log) == (22_363, 12_101, 198_502)
    assert log.time_kind == "order"
    assert log.items.decode(log.histories().take([0]).item).to_list() == [1, 2, 3, 4, 5]


def test_gowalla():
    train = read(DATA / "gowalla" / "train.txt", "user_lists")
    assert size(train) == (29_858, 40_981, 810_128)
    assert train.time_kind == "none"
    assert len(read(DATA / "gowalla" / "test.txt", "user_lists")) == 217_242


def test_films_and_people_of_ml_1m(tmp_path):
    for name in ("movies.dat", "users.dat"):
        (tmp_path / name).symlink_to(DATA / "ml-1m" / name)
    (tmp_path / "ratings.dat").write_text("1::1::5::978300760\n6040::3952::5::978300760\n1::1176::5::978300760\n")
    log = read(tmp_path)
    assert log.titles.to_list() == [
        "Toy Story (1995)",
        "Double Life of Veronique, The (La Double Vie de Véronique) (1991)",
        "Contender, The (2000)",
    ]
    assert isinstance(log.item_attributes["genres"], MultiCategorical)
    assert len(log.item_attributes["genres"].values) == 18
    assert log.item_attributes["year"].value.tolist() == [1995, 1991, 2000]
    assert log.user_attributes["age"].value.tolist() == [1, 25]


def test_every_film_of_ml_1m_has_a_year_and_a_genre(tmp_path):
    (tmp_path / "movies.dat").symlink_to(DATA / "ml-1m" / "movies.dat")
    ids = [line.split("::")[0] for line in (tmp_path / "movies.dat").read_text("latin-1").splitlines()]
    (tmp_path / "ratings.dat").write_text("".join(f"1::{n}::5::978300760\n" for n in ids))
    log = read(tmp_path)
    assert log.n_items == 3_883
    assert (log.item_attributes["year"].value > 1900).all()
    assert (log.item_attributes["genres"].offsets[1:] > log.item_attributes["genres"].offsets[:-1]).all()
