"""Every mistake a user can make; each class builds its own one-line message and ends a command with code 2.

A message says where, what was found, what was expected, and what to do. Lists inside messages are computed
from what exists, never typed in.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class MatineeError(Exception):
    """A mistake the user can mend: caught at the top of every command, printed as one line, exit code 2."""

    exit_code = 2


class DataError(MatineeError):
    """A log, a table or a file of items that cannot be read as what it claims to be."""

    def __init__(self, where: str | Path, found: str, expected: str, todo: str) -> None:
        self.where, self.found, self.expected, self.todo = str(where), found, expected, todo
        super().__init__(f"{where}: {found}; expected {expected}. {todo}")


class UnknownNameError(MatineeError):
    """A name that is not among those that exist; the nearest one is offered."""

    def __init__(self, what: str, name: str, known: Iterable[str], where: str = "") -> None:
        self.name, self.known = name, sorted(known)
        near = difflib.get_close_matches(name, self.known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        place = f"{where}: " if where else ""
        super().__init__(f"{place}there is no {what} {name!r}; {hint}Known: {', '.join(self.known) or 'none'}.")


class SpecError(MatineeError):
    """A value written in a file or on the command line that a spec refuses."""

    def __init__(self, where: str, found: str, expected: str, todo: str = "") -> None:
        super().__init__(f"{where}: {found}; expected {expected}.{' ' + todo if todo else ''}")


class SplitError(MatineeError):
    """A split that cannot be cut from this log."""

    def __init__(self, found: str, expected: str, todo: str) -> None:
        super().__init__(f"split: {found}; expected {expected}. {todo}")


class InsufficientMemoryError(MatineeError):
    """A step predicted, before anything is allocated, to need more memory than there is."""

    def __init__(self, what: str, needed: int, available: int, advice: str) -> None:
        self.needed, self.available = needed, available
        super().__init__(
            f"{what} would need about {_size(needed)} of memory and {_size(available)} are free; "
            f"nothing was allocated. {advice}"
        )


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.2f} MB"


class UnsupportedError(MatineeError):
    """A model asked for something it does not declare."""

    def __init__(self, model: str, wanted: str, todo: str) -> None:
        super().__init__(f"model {model!r} cannot {wanted}. {todo}")


class TrainingError(MatineeError):
    """A model that cannot be fitted, or whose scores cannot be ranked."""

    def __init__(self, model: str, found: str, todo: str, expected: str = "finite scores") -> None:
        super().__init__(f"model {model!r}: {found}; expected {expected}. {todo}")


class SingularMatrix(TrainingError):
    """A matrix that a fit has to invert and cannot, in single precision."""

    def __init__(self, row: int) -> None:
        MatineeError.__init__(
            self, f"matrix to invert: it is singular at row {row}; expected a positive definite one. Raise l2."
        )


class DownloadError(MatineeError):
    """A data set that could not be fetched, or is not what its checksum promises."""

    def __init__(self, name: str, found: str, todo: str) -> None:
        super().__init__(f"data set {name!r}: {found}. {todo}")


class RunError(MatineeError):
    """A run folder that is damaged, of another version, or not comparable with the others."""

    def __init__(self, folder: str | Path, found: str, todo: str) -> None:
        super().__init__(f"{folder}: {found}. {todo}")


class SubmissionError(MatineeError):
    """A list file that breaks the rules of its task; every kind of fault is named with its count."""

    def __init__(self, path: str | Path, faults: list[str]) -> None:
        self.faults = faults
        super().__init__(f"{path}: {'; '.join(faults)}. Mend these rows and check again.")
