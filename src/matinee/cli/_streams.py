"""Standard output and standard error that are closed, full, or of an encoding that lacks a character."""

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
"""Control characters and lone surrogates; tab and line feed are excluded."""

SUBSTITUTES = {"–": "-", "−": "-", "…": "...", "×": "x", "→": "->"}
"""Replacements for characters that the encoding lacks; other characters become a question mark."""

HANDLER = "matinee.substitute"
STDOUT = "standard output"


def visible(text: str) -> str:
    """The text with control characters as hexadecimal escapes."""
    return CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def prepare() -> None:
    """Refuse a closed standard output; replace characters that the encoding lacks."""
    closed = sys.stdout is None  # pyright: ignore[reportUnnecessaryComparison] - None under >&-
    sys.stdout, sys.stderr = sys.stdout or _open_null(), sys.stderr or _open_null()
    if closed:
        raise OSError(errno.EBADF, "it is closed", STDOUT)
    codecs.register_error(HANDLER, _substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _open_null() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """The replacement of the characters that an encoding lacks, and the position after them."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(SUBSTITUTES.get(character, "?") for character in missing), error.end


def flush() -> None:
    """Flush standard output. Raises an OSError that names it if it is full or closed."""
    try:
        sys.stdout.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, STDOUT) from None


def abandon() -> None:
    """Discard unprinted output, so that the interpreter does not print it again at exit."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        return
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
