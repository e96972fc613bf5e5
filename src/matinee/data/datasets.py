"""Public data sets by name: address, checksum, licence, and reading as a log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl
from pydantic import field_validator

from matinee.data import readers
from matinee.data.attributes import Categorical, Column, MultiCategorical, Numeric, Text, multi_categorical
from matinee.data.fetch import Archive, UnreachableError, cache_path, download, evict, unpacked
from matinee.data.source import AttributeLoader, DataSpec, Table
from matinee.data.vocabulary import Vocabulary
from matinee.errors import DownloadError, UnknownNameError
from matinee.spec import Registry, build

HOME = "https://files.grouplens.org/datasets/movielens"

CLOSED = "Research only: no redistribution and no commercial use without permission; cite Harper & Konstan 2015."
SHARED = "Research only: may be passed on under the same terms, no commercial use without permission; cite the authors."

TFDS = "sha256 and size from TensorFlow Datasets (url_checksums/movielens.txt)"
MANY = "sha256 and size agreed by several public projects"
GROUPLENS = ", md5 as GroupLens publishes it beside the archive"


@dataclass(frozen=True)
class DatasetInfo:
    """A public data set. `archives` are tried in order; the first is the publisher's own.

    `licence` is a one-sentence summary of the page at the address `terms`.
    """

    name: str
    description: str
    licence: str
    terms: str
    archives: tuple[Archive, ...]

    @property
    def address(self) -> str:
        """Address of the publisher's archive."""
        return self.archives[0].address

    @property
    def sha256(self) -> str:
        """The checksum of the publisher's archive."""
        return self.archives[0].sha256

    @property
    def size(self) -> int:
        """Bytes of the publisher's archive."""
        return self.archives[0].size

    @property
    def fetched(self) -> bool:
        """True if an archive is in the cache; its checksum is verified on reading."""
        return any(cache_path(archive).exists() for archive in self.archives)


RECBOLE = Archive(
    address="pip:recbole==1.2.1",
    file="recbole-1.2.1-py3-none-any.whl",
    sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    size=2_130_151,
    folder="recbole/dataset_example/ml-100k",
    reader="recbole",
    checksum_source="sha256 of the wheel on the package index",
)
"""A wheel that carries the rows of ml-100k as an example: for machines that reach an index and nothing else."""


def _archive(name: str, sha256: str, size: int, vouched: str, *, md5: str = "", folder: str = "") -> Archive:
    return Archive(
        address=f"{HOME}/{name}.zip",
        file=f"{name}.zip",
        sha256=sha256,
        size=size,
        folder=folder or name,
        reader="movielens",
        checksum_source=vouched + (GROUPLENS if md5 else ""),
        md5=md5,
    )


def _catalogue(*entries: DatasetInfo) -> Mapping[str, DatasetInfo]:
    return MappingProxyType({entry.name: entry for entry in entries})


DATASETS = _catalogue(
    DatasetInfo(
        "ml-100k",
        "MovieLens 100K (1998): 100,000 ratings by 943 users on 1,682 films.",
        CLOSED,
        f"{HOME}/ml-100k-README.txt",
        (
            _archive(
                "ml-100k",
                "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
                4_924_029,
                TFDS,
                md5="0e33842e24a9c977be4e0107933c0723",
            ),
            RECBOLE,
        ),
    ),
    DatasetInfo(
        "ml-1m",
        "MovieLens 1M (2003): 1,000,209 ratings by 6,040 users on 3,706 films.",
        CLOSED,
        f"{HOME}/ml-1m-README.txt",
        (
            _archive(
                "ml-1m",
                "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
                5_917_549,
                TFDS,
                md5="c4d9eecfca2ab87c1945afe126590906",
            ),
        ),
    ),
    DatasetInfo(
        "ml-10m",
        "MovieLens 10M (2009): 10,000,054 ratings by 69,878 users on 10,677 films.",
        CLOSED,
        f"{HOME}/ml-10m-README.html",
        (
            _archive(
                "ml-10m",
                "813c411ccb6122564edfe752e7f80c4dcc5aa25fa94c93622f6877a7ba252862",
                65_566_137,
                MANY,
                md5="ce571fd55effeba0271552578f2648bd",
                folder="ml-10M100K",
            ),
        ),
    ),
    DatasetInfo(
        "ml-20m",
        "MovieLens 20M (2015): 20,000,263 ratings by 138,493 users on 26,744 films.",
        CLOSED,
        f"{HOME}/ml-20m-README.html",
        (
            _archive(
                "ml-20m",
                "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
                198_702_078,
                TFDS,
                md5="cd245b17a1ae2cc31bb14903e1204af3",
            ),
        ),
    ),
    DatasetInfo(
        "ml-25m",
        "MovieLens 25M (2019): 25,000,095 ratings by 162,541 users on 59,047 films.",
        CLOSED,
        f"{HOME}/ml-25m-README.html",
        (
            _archive(
                "ml-25m",
                "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
                261_978_986,
                TFDS,
                md5="6b51fb2759a8657d3bfcbfc42b592ada",
            ),
        ),
    ),
    DatasetInfo(
        "ml-32m",
        "MovieLens 32M (2023): 32,000,204 ratings by 200,948 users on 84,432 films.",
        SHARED,
        f"{HOME}/ml-32m-README.html",
        (
            _archive(
                "ml-32m",
                "e4a68655d7386b8f95f2f2424b2ff975dfdd15ffd59e0d864a14dca43e99d6ee",
                238_950_008,
                MANY,
                md5="d472be332d4daa821edc399621853b57",
            ),
        ),
    ),
    DatasetInfo(
        "ml-latest-small",
        "MovieLens latest, small (2018): 100,836 ratings by 610 users on 9,724 films. May change; not for papers.",
        SHARED,
        f"{HOME}/ml-latest-small-README.html",
        (
            _archive(
                "ml-latest-small",
                "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
                978_202,
                TFDS,
            ),
        ),
    ),
)
"""Data sets by name."""


def find(name: str) -> DatasetInfo:
    """Data set of a name; raises `UnknownNameError` with the nearest name."""
    if name not in DATASETS:
        raise UnknownNameError("data set", name, DATASETS)
    return DATASETS[name]


def fetch(name: str, *, force: bool = False) -> Path:
    """Folder of a data set, from the cache or the network; `force` evicts it first."""
    entry = find(name)
    if force:
        for archive in entry.archives:
            evict(name, archive)
    return unpacked(name, _available_archive(entry))


def _available_archive(entry: DatasetInfo) -> Archive:
    """The first archive that is in the cache, or else the first that can be fetched."""
    for archive in entry.archives:
        if cache_path(archive).exists():
            return archive
    tried: list[str] = []
    for archive in entry.archives:
        try:
            download(entry.name, archive)
        except UnreachableError as error:
            tried.append(str(error))
        else:
            return archive
    todo = f"Connect to the network, or put the file at {cache_path(entry.archives[0])} and try again"
    raise DownloadError(entry.name, f"nothing could be reached; tried {'; then '.join(tried)}", todo)


class Dataset(DataSpec):
    """A data set by name, fetched once and then read from the cache."""

    name: str
    """Which one: a name that `matinee data list` shows."""

    @property
    def kind(self) -> str:
        """Name of the data set; a file needs only `kind = "ml-100k"`."""
        return self.name

    def to_dict(self) -> dict[str, object]:
        """Table of an experiment file: the kind, which is the name, then the options."""
        return {"kind": self.name, **{option: value for option, value in self.params().items() if option != "name"}}

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return find(name).name

    def table(self) -> Table:
        """Raw table of the data set, downloaded first if necessary."""
        entry = find(self.name)
        archive = _available_archive(entry)
        values = {"path": str(unpacked(self.name, archive))}
        reader: Registry[DataSpec] = Registry(readers, DataSpec, "reader")
        table = build(reader.get(archive.reader), values, f"data ({self.name})").table()
        if archive is not RECBOLE:
            return table
        return replace(
            table, item_attributes=_harmonize(table.item_attributes), user_attributes=_harmonize(table.user_attributes)
        )


def _harmonize(describe: AttributeLoader | None) -> AttributeLoader | None:
    """Attributes of the wheel with the names and types of the publisher's files."""
    if describe is None:
        return None
    facts = describe

    def renamed(keys: Vocabulary) -> dict[str, Column]:
        found = dict(facts(keys))
        title, year, genres = found.get("title"), found.get("release_year"), found.get("class")
        if isinstance(title, Text) and isinstance(year, Categorical) and isinstance(genres, MultiCategorical):
            dated = pl.Series(year.values.decode(year.code))
            titles = pl.select(pl.lit(title.value) + " (" + pl.lit(dated) + ")").to_series()
            known = genres.values.decode(genres.code)
            row = np.repeat(np.arange(len(keys)), np.diff(genres.offsets))
            known = known.set(known == "unknown", None)
            return {
                "title": Text(titles),
                "year": _number(year),
                "genres": multi_categorical(keys, keys.ids.gather(row), known),
            }
        age, sex, occupation = found.get("age"), found.get("gender"), found.get("occupation")
        if isinstance(age, Categorical) and sex is not None and occupation is not None:
            return {"age": _number(age), "sex": sex, "occupation": occupation}
        return found

    return renamed


def _number(column: Categorical) -> Numeric:
    """The numbers that categories spell out; what spells none is missing."""
    spelt = column.values.ids.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    return Numeric(np.where(column.code >= 0, spelt[column.code], np.nan))
