"""The simulator's items: clusters, series, popularity over time, attributes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.data.attributes import Column, multi_categorical, numeric, text
from matinee.data.simulation.draw import ItemSampler
from matinee.data.vocabulary import Vocabulary

BUCKETS = 24
"""Stretches of time; popularity is constant within one."""

ROMAN = ("", "", "II", "III", "IV")
PARTS = len(ROMAN) - 1

GENRES = (
    "Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ItemTable:
    """Items 0..n−1: clusters, series and part, release and popularity.

    `series` (n,) is the item that is part 1, `part` (n,) counts from 1. `release` (n,) is the first bucket an item
    is out in. `year` (n,). `popularity` (n,) is a weight; `phase` (n,) is the start of its popularity cycle.
    """

    raw: NDArray[np.int64]
    cluster: NDArray[np.int32]
    second: NDArray[np.int32]
    series: NDArray[np.int32]
    part: NDArray[np.int32]
    release: NDArray[np.int32]
    year: NDArray[np.int32]
    popularity: NDArray[np.float64]
    phase: NDArray[np.float64]


def raw_ids(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Rising whole numbers with holes, so a code mistaken for an id is another id or none."""
    return 10 + np.cumsum(rng.integers(1, 8, n))


def item_table(
    rng: np.random.Generator, n: int, law: tuple[int, float, float, float], span: tuple[int, int]
) -> ItemTable:
    """Draw the items.

    `law` is (clusters, exponent of the power law, fraction in series, drift); `span` is (start, length).
    """
    tastes, exponent, share, drift = law
    series, part = _series(rng, n, share)
    taste = rng.integers(0, tastes, n).astype(np.int32)[series]
    second = rng.integers(0, tastes, n).astype(np.int32)[series]
    popularity = (rng.permutation(n) + 1 + 0.02 * n) ** -exponent
    popularity = popularity[series] * 0.7 ** (part - 1)
    release, year = _released(rng, (series, part), drift, span)
    phase = rng.uniform(0, 2 * math.pi, n)[series]
    return ItemTable(raw_ids(rng, n), taste, second, series, part, release, year, popularity, phase)


def _series(rng: np.random.Generator, n: int, share: float) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """For every item the item that is part 1 of its series, itself if alone, and which part it is, from 1."""
    series, part = np.arange(n, dtype=np.int32), np.ones(n, dtype=np.int32)
    shuffled, at, end = rng.permutation(n), 0, round(share * n)
    while end - at >= 2:
        length = min(int(rng.integers(2, PARTS + 1)), end - at)
        members = np.sort(shuffled[at : at + length])
        series[members], part[members] = members[0], np.arange(1, length + 1)
        at += length
    return series, part


def _released(
    rng: np.random.Generator, series: tuple[NDArray[np.int32], NDArray[np.int32]], drift: float, span: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """First bucket and year of every item. No item is released before its year."""
    first, part = series
    start, length = span
    opened = np.array([datetime.fromtimestamp(start + b * length // BUCKETS, UTC).year for b in range(BUCKETS)])
    begins = np.where(rng.uniform(size=len(first)) < 0.3 * drift, rng.integers(1, BUCKETS - 2, len(first)), 0)[first]
    release = np.where(begins > 0, np.minimum(begins + 2 * (part - 1), BUCKETS - 2), 0).astype(np.int32)
    age = np.minimum(90, 1 + rng.exponential(14.0, len(first)).astype(np.int32))[first] + PARTS
    old = opened[0] - age + part - 1
    return release, np.where(release > 0, opened[release], old).astype(np.int32)


def item_sampler(items: ItemTable, tastes: int, drift: float) -> ItemSampler:
    """Popularity of every taste's items, and of all items, in every stretch of time."""
    n = len(items.raw)
    swing = np.sin(math.pi * np.arange(BUCKETS)[:, None] / (BUCKETS - 1) + items.phase)
    weight = items.popularity * np.exp(1.8 * drift * swing)
    weight[np.arange(BUCKETS)[:, None] < items.release] = 0.0
    group = np.concatenate([items.cluster, items.second, np.full(n, tastes)])
    member = np.tile(np.arange(n, dtype=np.int32), 3)
    fit = np.concatenate([np.ones(n), np.where(items.second == items.cluster, 0.0, 0.4), np.ones(n)])
    order = np.argsort(group, kind="stable")
    group, member, fit = group[order], member[order], fit[order]
    offsets = np.searchsorted(group, np.arange(tastes + 2)).astype(np.int64)
    cdf = np.empty((BUCKETS, len(member)), dtype=np.float32)
    for low, high in pairwise(offsets):
        sums = np.cumsum(weight[:, member[low:high]] * fit[low:high], axis=1)
        cdf[:, low:high] = sums / np.maximum(sums[:, -1:], 1e-300) if high > low else 0.0
    sequel, prequel = np.full(n, -1, dtype=np.int32), np.full(n, -1, dtype=np.int32)
    chain = np.lexsort((items.part, items.series))
    linked = items.series[chain[1:]] == items.series[chain[:-1]]
    sequel[chain[:-1][linked]], prequel[chain[1:][linked]] = chain[1:][linked], chain[:-1][linked]
    return ItemSampler(offsets, member, cdf, sequel, prequel)


def item_attributes(rng: np.random.Generator, items: ItemTable, genres: int, keys: Vocabulary) -> Mapping[str, Column]:
    """Title, year, genres and directors; the last three are missing of some."""
    n = len(items.raw)
    raw = pl.Series("item", items.raw)
    titles = [
        " ".join(word for word in (f"Film {s:04d}", ROMAN[p], f"({y})") if word)
        for s, p, y in zip(items.series.tolist(), items.part.tolist(), items.year.tolist(), strict=True)
    ]
    dated = rng.uniform(size=n) >= 0.005
    names = [*GENRES[:genres], *(f"Genre {g}" for g in range(len(GENRES), genres))]
    genre_of, genre = _genres(rng, items, genres)
    director_of, director = _directors(rng, items)
    return {
        "title": text(keys, raw, pl.Series(titles)),
        "year": numeric(keys, raw.filter(pl.Series(dated)), pl.Series(items.year[dated])),
        "genres": multi_categorical(keys, raw.gather(genre_of), pl.Series([names[g] for g in genre.tolist()])),
        "directors": multi_categorical(
            keys, raw.gather(director_of), pl.Series([f"nm{d:07d}" for d in director.tolist()])
        ),
    }


def _genres(rng: np.random.Generator, items: ItemTable, genres: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(item, genre) pairs: that of its main taste, often that of its second, sometimes any."""
    n = len(items.raw)
    pairs = np.zeros((n, genres), dtype=np.bool_)
    row = np.arange(n)
    pairs[row, items.cluster % genres] = True
    for value, chance in ((items.second % genres, 0.6), (rng.integers(0, genres, n), 0.3)):
        extra = rng.uniform(size=n) < chance
        pairs[row[extra], value[extra]] = True
    item, genre = np.nonzero(pairs)
    return item, genre


def _directors(rng: np.random.Generator, items: ItemTable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(item, director) pairs: a director keeps to a taste; a series has one; a fifth of the items have none."""
    n, tastes = len(items.raw), int(items.cluster.max()) + 1
    troupe = max(1, n // (4 * tastes))  # directors of a taste
    director = (items.cluster + tastes * rng.integers(0, troupe, n)[items.series]).astype(np.int64)
    item = np.flatnonzero(rng.uniform(size=n) >= 0.19)
    assistant = item[rng.uniform(size=len(item)) < 0.07]
    other = items.cluster[assistant] + tastes * rng.integers(0, troupe, len(assistant))
    different = other != director[assistant]
    return np.append(item, assistant[different]), np.append(director[item], other[different])
