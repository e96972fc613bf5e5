"""How a command that fails ends: an exit code and one line, whatever was raised."""

from __future__ import annotations

import errno
import json

from matinee.errors import MatineeError

STOPPED = "stopped; what was finished is kept, the same command goes on from there"

HINTS = {
    errno.ENOENT: "Check the path.",
    errno.EACCES: "Choose a place you may read and write, or change its permissions.",
    errno.EPERM: "Choose a place you may read and write, or change its permissions.",
    errno.EROFS: "Choose a place that can be written to.",
    errno.ENOSPC: "Make room and run the same command again.",
    errno.EDQUOT: "Make room and run the same command again.",
    errno.EFBIG: "Raise the limit (ulimit -f) and run the same command again.",
    errno.EMFILE: "Raise the limit (ulimit -n) and run the same command again.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.EISDIR: "Name a file.",
    errno.ENOTDIR: "Name a folder.",
    errno.EBADF: "Send it to a terminal, a file, a pipe or /dev/null.",
}
"""What to do about what the operating system refuses."""


def ending(error: BaseException) -> tuple[int, str] | None:
    """The exit code and the sentence for stderr (may be empty); None for an exit as it is, and for a bug."""
    error = _origin(error)
    if isinstance(error, MatineeError):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt):
        return 130, STOPPED
    if isinstance(error, BrokenPipeError):
        return 141, ""
    sentence = _of_the_machine(error) or _of_a_file(error)
    return (2, sentence) if sentence else None


def _origin(error: BaseException) -> BaseException:
    """What was raised before typer or rich turned it into an exit without a word; else the error itself."""
    cause = error if isinstance(error, SystemExit) and error.code else None
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt | BrokenPipeError | EOFError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return error


def _of_the_machine(error: BaseException) -> str:
    """What the operating system or the interpreter refuses; empty for other errors."""
    if isinstance(error, OSError):
        places = [str(place) for place in (error.filename, error.filename2) if place is not None]
        found = error.strerror or str(error) or type(error).__name__
        return f"{' → '.join(places) or 'output'}: {found}. {HINTS.get(error.errno or 0, '')}".rstrip()
    if isinstance(error, MemoryError):
        found = str(error) or "an allocation failed"
        return f"memory: {found}; expected enough of it. Use fewer rows, or a model that needs less."
    if isinstance(error, RecursionError):
        return "input: brackets or tables are nested too deeply; expected a few levels. Mend the file or the option."
    return ""


def _of_a_file(error: BaseException) -> str:
    """What a library says of content it cannot read; empty for other errors."""
    from polars.exceptions import PanicException, PolarsError
    from safetensors import SafetensorError

    said = f"{next(iter(str(error).splitlines()), '').rstrip('.')} ({type(error).__name__})"
    if isinstance(error, json.JSONDecodeError):
        return f"JSON: {said}; expected an undamaged file. Delete what was damaged and run the command again."
    if isinstance(error, UnicodeError):
        return f"text: {said}; expected UTF-8. Convert the file or rename it."
    if isinstance(error, SafetensorError):
        return f"model file: {said}; expected an undamaged one. Delete its run and run the experiment again."
    if isinstance(error, EOFError):
        return f"file: {said}; expected more of it. Fetch or write it again."
    if isinstance(error, PanicException | PolarsError):
        return f"data: {said}; expected values that fit their columns. See what is there: matinee data inspect FILE."
    return ""
