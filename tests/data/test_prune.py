"""Repeats and the k-core against slow obvious twins."""

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from matinee.data.source import DataSpec, Table, encode_log
from matinee.errors import DataError

pairs = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 3)), min_size=1, max_size=60)


def log_of(rows, weights=None, **knobs):
    frame = pl.DataFrame(rows, schema=["user", "item", "time"], orient="row")
    if weights is not None:
        frame = frame.with_columns(pl.Series("weight", weights, dtype=pl.Float32))
    return encode_log(Table(frame, "rows", "seconds"), DataSpec(time_range=("1970-01-01", "2100-01-01"), **knobs))


def slow_core(rows, least):
    while True:
        partners = {}
        for user, item, _ in rows:
            partners.setdefault(("user", user), set()).add(item)
            partners.setdefault(("item", item), set()).add(user)
        kept = [r for r in rows if len(partners["user", r[0]]) >= least and len(partners["item", r[1]]) >= least]
        if len(kept) == len(rows):
            return kept
        rows = kept


@settings(max_examples=200, deadline=None)
@given(pairs, st.integers(1, 4))
def test_core_is_that_of_the_slow_twin(rows, least):
    want = sorted(slow_core(rows, least), key=lambda r: (r[0], r[2], r[1]))
    try:
        log = log_of(rows, k_core=least)
    except DataError:
        assert want == []
        return
    assert log.frame().rows() == want
    assert log.users.ids.to_list() == sorted({r[0] for r in want})
    assert log.items.ids.to_list() == sorted({r[1] for r in want})


def test_core_takes_several_rounds():
    chain = [(n, n + d, 0) for n in range(10) for d in (0, 1)]
    square = [(u, i, 0) for u in (20, 21) for i in (30, 31)]
    log = log_of([*chain, *square], k_core=2)
    assert log.users.ids.to_list() == [20, 21]


def test_core_counts_partners_and_not_rows():
    rows = [(1, 1, t) for t in range(5)] + [(2, 1, 0), (2, 2, 0), (3, 1, 0), (3, 2, 0)]
    log = log_of(rows, k_core=2)
    assert log.users.ids.to_list() == [2, 3]


@settings(max_examples=200, deadline=None)
@given(pairs, st.booleans(), st.randoms(use_true_random=False))
def test_fold_is_that_of_the_slow_twin_in_any_row_order(rows, weighted, rng):
    weights = [float(n % 5) for n in range(len(rows))] if weighted else None
    want = {}
    for n, (user, item, time) in enumerate(rows):
        earliest, total = want.get((user, item), (time, 0.0))
        want[user, item] = (min(earliest, time), total + (weights[n] if weights else 0.0))
    folded = log_of(rows, weights, duplicates="merge")
    expected = sorted((u, t, i, *([w] if weighted else [])) for (u, i), (t, w) in want.items())
    assert [(r[0], r[2], r[1], *r[3:]) for r in folded.frame().rows()] == expected
    order = list(range(len(rows)))
    rng.shuffle(order)
    shuffled = [rows[n] for n in order]
    moved = [weights[n] for n in order] if weights else None
    for repeats in ("keep", "merge"):
        one, other = log_of(rows, weights, duplicates=repeats), log_of(shuffled, moved, duplicates=repeats)
        assert one.fingerprint == other.fingerprint


def test_core_keeps_attributes_aligned():
    frame = pl.DataFrame({"user": [1, 1, 2, 2, 3], "item": [5, 6, 5, 6, 9]})
    from matinee.data.attributes import numeric

    table = Table(
        frame, "rows", item_attributes=lambda keys: {"n": numeric(keys, pl.Series([9, 6, 5]), pl.Series([90, 60, 50]))}
    )
    log = encode_log(table, DataSpec(k_core=2))
    assert log.item_attributes.keys == log.items
    assert log.item_attributes["n"].value.tolist() == [50.0, 60.0]


def test_folded_weights_stay_float32():
    log = log_of([(1, 1, 0), (1, 1, 1)], [0.25, 0.5], duplicates="merge")
    assert log.weight.dtype == np.float32
    assert log.weight.tolist() == [0.75]
