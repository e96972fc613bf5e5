"""The simulator's inner loops: one random stream and one history per user.

A stream is splitmix64 (see `hashing`) started from (seed, user), so results do not depend on order or threads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from matinee.hashing import GOLDEN, mix64
from matinee.kernel import kernel, parallel_kernel, prange

TRIES = 24
"""Draws that may hit items already taken before the group is given up for everything, and that for what is left."""

BROWSING = 0.22
"""Fraction of interactions drawn by overall popularity, independent of clusters."""

DAY = 86_400
"""Seconds."""


class ItemSampler(NamedTuple):
    """Items by cluster with their popularity over time.

    Group g has the items `member[offsets[g]:offsets[g + 1]]`; the last group has all. `cdf` (buckets, M) sums
    their popularity within the group, for each stretch of time. `sequel` and `prequel` (n_items,) are the next
    and the previous part of a series, −1 where there is none.
    """

    offsets: NDArray[np.int64]
    member: NDArray[np.int32]
    cdf: NDArray[np.float32]
    sequel: NDArray[np.int32]
    prequel: NDArray[np.int32]


class Behaviour(NamedTuple):
    """Options of user behaviour. `start` and `span` are seconds."""

    seed: int
    start: int
    span: int
    sessions: float
    drift: float
    repeat_rate: float


@kernel
def _next(state: NDArray[np.uint64]) -> np.uint64:
    state[0] += GOLDEN
    return mix64(state[0])


@kernel
def _uniform(state: NDArray[np.uint64]) -> float:
    """In [0, 1), 53 bits."""
    return float(_next(state) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@kernel
def _exponential(state: NDArray[np.uint64]) -> float:
    return -math.log(1.0 - _uniform(state))


@kernel
def _normal(state: NDArray[np.uint64]) -> float:
    """Box and Muller, one of the pair."""
    return math.sqrt(2.0 * _exponential(state)) * math.cos(2.0 * math.pi * _uniform(state))


@kernel
def user_stream(seed: int, user: int) -> NDArray[np.uint64]:
    """State (1,) of a user's stream."""
    state = np.empty(1, dtype=np.uint64)
    state[0] = np.uint64(seed)
    state[0] = _next(state) ^ np.uint64(user)
    state[0] = _next(state)
    return state


@kernel
def _mixture(state: NDArray[np.uint64], n_clusters: int) -> NDArray[np.float64]:
    """Running sums (n_clusters,) of a user's shares of the clusters: logistic normal, a few dominate."""
    share = np.empty(n_clusters)
    for t in range(n_clusters):
        share[t] = math.exp(2.5 * _normal(state))
    return np.cumsum(share / share.sum())


@kernel
def _timestamps(
    state: NDArray[np.uint64], behaviour: Behaviour, time: NDArray[np.int64], opens: NDArray[np.bool_]
) -> None:
    """Strictly rising times of one history: seconds inside a session, days to months between; `opens` marks firsts."""
    n = len(time)
    inside, between = np.zeros(n), np.zeros(n)
    for i in range(n):
        opens[i] = i == 0 or _uniform(state) < 1.0 / behaviour.sessions
        if i and opens[i]:
            between[i] = DAY * math.exp(math.log(6.0) + 1.6 * _normal(state))
        elif i:
            inside[i] = 20.0 * _exponential(state)
    free_time = 0.98 * behaviour.span - n
    crowded = min(1.0, 0.5 * free_time / max(1.0, inside.sum()))
    total = crowded * inside.sum()
    hurried = min(1.0, (free_time - total) / max(1.0, between.sum()))
    total += hurried * between.sum()
    now = behaviour.start + _uniform(state) * (free_time - total)
    for i in range(n):
        now += 1.0 + crowded * inside[i] + hurried * between[i]
        time[i] = int(now)


@kernel
def _pick(sampler: ItemSampler, bucket: int, group: int, u: float) -> int:
    """The item of a group at share u of its popularity, −1 where nothing of it is out yet."""
    low, high = sampler.offsets[group], sampler.offsets[group + 1]
    if low == high:
        return -1
    sums = sampler.cdf[bucket]
    x = np.float32(u) * sums[high - 1]
    last = high
    while low < high:
        middle = (low + high) >> 1
        if sums[middle] > x:
            high = middle
        else:
            low = middle + 1
    return int(sampler.member[low]) if low < last else -1


@kernel
def _sample_remaining(state: NDArray[np.uint64], sampler: ItemSampler, bucket: int, taken: NDArray[np.bool_]) -> int:
    """Among all items not taken: by popularity, or evenly where what is out is used up. O(n_items)."""
    low, n = sampler.offsets[-2], len(taken)
    weight = np.empty(n)
    before = 0.0
    for j in range(n):
        here = sampler.cdf[bucket, low + j]
        weight[j] = 0.0 if taken[sampler.member[low + j]] else here - before
        before = here
    total = weight.sum()
    if total <= 0.0:
        for j in range(n):
            weight[j] = 0.0 if taken[sampler.member[low + j]] else 1.0
        total = weight.sum()
    x = _uniform(state) * total
    found = -1
    for j in range(n):
        if weight[j] > 0.0:
            found = int(sampler.member[low + j])
            x -= weight[j]
            if x < 0.0:
                break
    return found


@kernel
def _is_released(sampler: ItemSampler, bucket: int, item: int) -> bool:
    """Whether an item is out in this stretch of time; the last group lists items in order of their number."""
    at = sampler.offsets[-2] + item
    before = sampler.cdf[bucket, at - 1] if item else np.float32(0.0)
    return sampler.cdf[bucket, at] > before


@kernel
def _sample_new(
    state: NDArray[np.uint64], sampler: ItemSampler, bucket: int, group: int, taken: NDArray[np.bool_]
) -> int:
    """An item not taken yet: of the group, or of everything, or of what is left."""
    for attempt in range(2 * TRIES):
        place = group if attempt < TRIES else len(sampler.offsets) - 2
        item = _pick(sampler, bucket, place, _uniform(state))
        if item < 0 or taken[item]:
            continue
        first = item
        while sampler.prequel[first] >= 0 and not taken[sampler.prequel[first]]:
            first = sampler.prequel[first]
        if first != item and _uniform(state) < 0.95 and _is_released(sampler, bucket, first):
            return first  # few begin a series in the middle
        return item
    return _sample_remaining(state, sampler, bucket, taken)


@kernel
def _history(
    user: int, sampler: ItemSampler, behaviour: Behaviour, item: NDArray[np.int32], time: NDArray[np.int64]
) -> None:
    """One user's items (length,) and times (length,), oldest first."""
    state = user_stream(behaviour.seed, user)
    n_clusters, n = len(sampler.offsets) - 2, len(item)
    early, late = _mixture(state, n_clusters), _mixture(state, n_clusters)
    opens = np.empty(n, dtype=np.bool_)
    _timestamps(state, behaviour, time, opens)
    taken = np.zeros(len(sampler.sequel), dtype=np.bool_)
    cluster, pending = 0, -1
    for i in range(n):
        if i and behaviour.repeat_rate > 0.0 and _uniform(state) < behaviour.repeat_rate:
            item[i] = item[max(0, i - 1 - int(12.0 * _exponential(state)))]
            continue
        bucket = min(len(sampler.cdf) - 1, (time[i] - behaviour.start) * len(sampler.cdf) // behaviour.span)
        shares = late if _uniform(state) < behaviour.drift * i / n else early
        if opens[i] or _uniform(state) < 0.35:
            cluster = min(n_clusters - 1, int(np.searchsorted(shares, _uniform(state))))
        chosen = -1
        if pending >= 0 and _uniform(state) < 0.5:
            chosen, pending = pending, -1
            if taken[chosen] or not _is_released(sampler, bucket, chosen):
                chosen = -1
        if chosen < 0 and len(taken) > i:
            group = n_clusters if _uniform(state) < BROWSING else cluster
            chosen = _sample_new(state, sampler, bucket, group, taken)
        item[i] = chosen
        taken[chosen] = True
        if sampler.sequel[chosen] >= 0 and _uniform(state) < 0.6:
            pending = sampler.sequel[chosen]


@parallel_kernel
def draw_histories(
    offsets: NDArray[np.int64], sampler: ItemSampler, behaviour: Behaviour
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Items and times (N,) of all users; rows of user p are `offsets[p]:offsets[p + 1]`."""
    item = np.empty(offsets[-1], dtype=np.int32)
    time = np.empty(offsets[-1], dtype=np.int64)
    for p in prange(len(offsets) - 1):
        low, high = offsets[p], offsets[p + 1]
        _history(p, sampler, behaviour, item[low:high], time[low:high])
    return item, time
