"""Errors of the user; each class builds its own one-line message.

A message has the place, what was found, what is required, and one thing to change. Lists of names in messages are
computed, not written by hand.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class MatineeError(Exception):
    """A user's mistake; printed as one line, exit code 2."""

    exit_code = 2


class DataError(MatineeError):
    """A log, a table or a file that cannot be read."""

    def __init__(self, where: str | Path, found: str, expected: str, todo: str) -> None:
        self.where, self.found, self.expected, self.todo = str(where), found, expected, todo
        super().__init__(f"{where}: {found}; expected {expected}. {todo}")


class UnknownNameError(MatineeError):
    """An unknown name; the message suggests the most similar known one."""

    def __init__(self, what: str, name: str, known: Iterable[str], where: str = "") -> None:
        self.name, self.known = name, sorted(known)
        similar = difflib.get_close_matches(name, self.known, n=1, cutoff=0.5)
        hint = f"did you mean {similar[0]!r}? " if similar else ""
        place = f"{where}: " if where else ""
        super().__init__(f"{place}there is no {what} {name!r}; {hint}Known: {', '.join(self.known) or 'none'}.")


class SpecError(MatineeError):
    """An invalid value in a file, on the command line or in Python."""

    def __init__(self, where: str, found: str, expected: str, todo: str = "") -> None:
        super().__init__(f"{where}: {found}; expected {expected}.{' ' + todo if todo else ''}")


class SplitError(MatineeError):
    """A split that is impossible for this log."""

    def __init__(self, found: str, expected: str, todo: str) -> None:
        super().__init__(f"split: {found}; expected {expected}. {todo}")


class InsufficientMemoryError(MatineeError):
    """A predicted memory above the free memory; raised before any allocation."""

    def __init__(self, what: str, needed: int, available: int, advice: str) -> None:
        self.needed, self.available = needed, available
        super().__init__(
            f"{what} would need about {_size(needed)} of memory and {_size(available)} are free; "
            f"nothing was allocated. {advice}"
        )


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.2f} MB"


class UnsupportedError(MatineeError):
    """A request that a model does not support."""

    def __init__(self, model: str, action: str, todo: str) -> None:
        super().__init__(f"model {model!r} cannot {action}. {todo}")


class TrainingError(MatineeError):
    """A model that cannot be trained, or scores that cannot be ranked."""

    def __init__(self, model: str, found: str, todo: str, expected: str = "finite scores") -> None:
        super().__init__(f"model {model!r}: {found}; expected {expected}. {todo}")


class SingularMatrix(TrainingError):
    """A matrix that is not positive definite in single precision."""

    def __init__(self, row: int) -> None:
        MatineeError.__init__(
            self, f"matrix to invert: it is singular at row {row}; expected a positive definite one. Raise l2."
        )


class DownloadError(MatineeError):
    """A data set that cannot be fetched, or has another checksum."""

    def __init__(self, name: str, found: str, todo: str) -> None:
        super().__init__(f"data set {name!r}: {found}. {todo}")


class RunError(MatineeError):
    """A run folder that is damaged, of another version, or not comparable with other runs."""

    def __init__(self, folder: str | Path, found: str, todo: str) -> None:
        super().__init__(f"{folder}: {found}. {todo}")


class SubmissionError(MatineeError):
    """A file of lists that violates its task; faults are counted by kind."""

    def __init__(self, path: str | Path, faults: list[str]) -> None:
        self.faults = faults
        super().__init__(f"{path}: {'; '.join(faults)}. Fix these rows and check the file again.")
