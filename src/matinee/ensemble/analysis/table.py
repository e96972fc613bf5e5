"""Text tables and JSON values of analysis results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def aligned(rows: Sequence[Sequence[str]], words: int = 1) -> list[str]:
    """Lines of a table; the first `words` columns are left-aligned, the others right-aligned."""
    width = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_padded(row, width, words)).rstrip() for row in rows]


def _padded(row: Sequence[str], width: Sequence[int], words: int) -> list[str]:
    cells = zip(row, width, strict=True)
    return [cell.ljust(w) if c < words else cell.rjust(w) for c, (cell, w) in enumerate(cells)]


def plain_value(value: Any) -> Any:
    """Nested values for JSON: tuples become lists, non-finite numbers null."""
    if isinstance(value, dict):
        return {str(key): plain_value(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain_value(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def format_number(value: float) -> str:
    """Three decimals; a dash for NaN."""
    return f"{value:.3f}" if math.isfinite(value) else "–"


def format_interval(interval: tuple[float, float], sign: str = "") -> str:
    """`[low, high]` with four decimals; `sign` = "+" shows the sign of positive values."""
    low, high = interval
    return f"[{low:{sign}.4f}, {high:{sign}.4f}]"
