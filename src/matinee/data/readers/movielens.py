"""The MovieLens files of GroupLens, as they come out of the zip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from matinee.data.readers._columns import TabularSpec
from matinee.data.readers._delimited import delimited_table, fields
from matinee.data.readers._side import (
    categorical_column,
    columns_of,
    numeric_column,
    read_side_table,
    split_list,
    text_column,
)
from matinee.data.source import AttributeLoader, DataSpec, Table
from matinee.errors import DataError

LOGS = ("ratings.csv", "ratings.dat", "u.data")
NAMES = ("user", "item", "rating", "timestamp")
NO_GENRE = "(no genres listed)"
YEAR = r"\((\d{4})(?:[-–]\d{0,4})?\)\s*$"
FLAGS = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
"""The 19 columns of 0 and 1 at the end of u.item; the first means that nothing is known."""


class Movielens(DataSpec):
    """A MovieLens folder or its log, with films and users.

    The log is ratings.csv, ratings.dat or u.data.
    """

    path: Path
    """The folder, or the log in it."""

    def table(self) -> Table:
        """Read the raw table."""
        log = _log(self.path.expanduser())
        if log.suffix == ".csv":
            found = fields(log)
        else:
            found = fields(log, "::" if log.suffix == ".dat" else "\t", NAMES, quoted=False)
        table = delimited_table(found, TabularSpec())
        return replace(table, item_attributes=_items(log.parent), user_attributes=_users(log.parent))


def _log(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in LOGS:
        if (path / name).exists():
            return path / name
    raise DataError(path, f"the folder has none of {', '.join(LOGS)}", "one of them", "Unpack the zip there.")


def _items(folder: Path) -> AttributeLoader | None:
    """Titles, years and genres, from whichever file of films there is."""
    if (folder / "movies.csv").exists():
        films = read_side_table(folder / "movies.csv", ",", quoted=True).rename({"movieId": "item"}, strict=False)
    elif (folder / "movies.dat").exists():
        films = read_side_table(folder / "movies.dat", "::", ("item", "title", "genres"))
    elif (folder / "u.item").exists():
        films = _join_genres(
            read_side_table(folder / "u.item", "|", ("item", "title", "released", "video", "url", *FLAGS))
        )
    else:
        return None
    missing = [name for name in ("item", "title", "genres") if name not in films.columns]
    if missing:
        found = f"the file of films has no column {' or '.join(missing)}, it has {', '.join(films.columns)}"
        raise DataError(folder, found, "movieId, title and genres", "Mend it or take it away.")
    films = films.with_columns(pl.col("title").str.extract(YEAR).alias("year"))
    genres = split_list("|", missing=NO_GENRE)
    return columns_of(
        films, "item", {"title": ("title", text_column), "year": ("year", numeric_column), "genres": ("genres", genres)}
    )


def _join_genres(films: pl.DataFrame) -> pl.DataFrame:
    names = [pl.when(pl.col(flag) == "1").then(pl.lit(flag)) for flag in FLAGS[1:]]
    return films.with_columns(pl.concat_str(names, separator="|", ignore_nulls=True).alias("genres"))


def _users(folder: Path) -> AttributeLoader | None:
    """Age in years (in ML-1M the youngest of the age group), sex and occupation."""
    if (folder / "users.dat").exists():
        users = read_side_table(folder / "users.dat", "::", ("user", "sex", "age", "occupation", "zip"))
    elif (folder / "u.user").exists():
        users = read_side_table(folder / "u.user", "|", ("user", "age", "sex", "occupation", "zip"))
    else:
        return None
    makers = {
        "age": ("age", numeric_column),
        "sex": ("sex", categorical_column),
        "occupation": ("occupation", categorical_column),
    }
    return columns_of(users, "user", makers)
