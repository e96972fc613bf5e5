"""The lists and targets on which other libraries were measured; only NumPy, so that it runs in their environments."""

from __future__ import annotations

import hashlib

import numpy as np

N_USERS, N_ITEMS, K = 1000, 500, 10
RECIPE = (
    "default_rng(0): 1,000 users x 500 items; answers min(40, geometric(1/9)) drawn without replacement; "
    "lists: top 10 of standard normal noise + 1 for an answer; 2 % of users get no list, 5 % the first 4 items"
)


def fixture() -> tuple[list[list[int]], list[list[int]]]:
    """(lists best first, targets ascending), one list of item codes per user."""
    rng = np.random.default_rng(0)
    n_answers = np.minimum(rng.geometric(1 / 9, N_USERS), 40)
    answers = [np.sort(rng.permutation(N_ITEMS)[:n]) for n in n_answers]
    lists = []
    for mine in answers:
        score = rng.standard_normal(N_ITEMS)
        score[mine] += 1.0
        lists.append(np.argsort(-score, kind="stable")[:K])
    shuffled = rng.permutation(N_USERS)
    for user in shuffled[: N_USERS // 50]:
        lists[user] = lists[user][:0]
    for user in shuffled[N_USERS // 50 : N_USERS // 50 + N_USERS // 20]:
        lists[user] = lists[user][:4]
    return [row.tolist() for row in lists], [row.tolist() for row in answers]


def digest() -> str:
    """A hash of the fixture: equal in every environment."""
    return hashlib.sha256(repr(fixture()).encode()).hexdigest()[:16]
