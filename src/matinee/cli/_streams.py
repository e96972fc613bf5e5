"""Standard output and error: closed, full, of an encoding that lacks a character; control characters in texts."""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""What a terminal takes for a command, and halves of characters. Tab and line feed stay."""

SUBSTITUTES = {"–": "-", "−": "-", "…": "...", "×": "x", "→": "->"}
"""What is written where the encoding lacks a sign; another sign becomes a question mark."""

HANDLER = "matinee.substitute"
STDOUT = "standard output"


def visible(text: str) -> str:
    """The text with control characters as escapes of hexadecimal digits, so that a terminal cannot obey them."""
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def prepare() -> None:
    """Refuse a closed standard output before any work; let no character stop a command."""
    closed = sys.stdout is None  # pyright: ignore[reportUnnecessaryComparison] - so it is under >&-
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    if closed:
        raise OSError(errno.EBADF, "it is closed", STDOUT)
    codecs.register_error(HANDLER, _substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """What is written for the characters that an encoding lacks, and where the text goes on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(SUBSTITUTES.get(sign, "?") for sign in lacking), error.end


def flush() -> None:
    """Write out what is printed so far. A full or closed standard output raises an OSError with its name."""
    try:
        sys.stdout.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, STDOUT) from None


def abandon() -> None:
    """Discard what could not be printed, so that the interpreter does not try again while it ends."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        return
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
