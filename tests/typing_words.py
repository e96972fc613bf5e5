"""Commands typed in a test."""

from __future__ import annotations

from matinee.cli import main


def typed(*words: str) -> int:
    """The exit code of a command."""
    try:
        main(list(words))
    except SystemExit as end:
        return int(end.code or 0)
    return 0
