"""The exit code and the line on stderr of a command that fails, for every exception."""

from __future__ import annotations

import errno
import json

from matinee.errors import MatineeError

STOPPED = "interrupted; finished steps are kept. Run the same command again to continue"

HINTS = {
    errno.ENOENT: "Check the path.",
    errno.EACCES: "Use another path, or change its permissions.",
    errno.EPERM: "Use another path, or change its permissions.",
    errno.EROFS: "Use a path on a writable file system.",
    errno.ENOSPC: "Free disk space and run the same command again.",
    errno.EDQUOT: "Free disk space and run the same command again.",
    errno.EFBIG: "Raise the limit (ulimit -f) and run the same command again.",
    errno.EMFILE: "Raise the limit (ulimit -n) and run the same command again.",
    errno.ENAMETOOLONG: "Use a shorter name.",
    errno.EISDIR: "Pass the path of a file.",
    errno.ENOTDIR: "Pass the path of a folder.",
    errno.EBADF: "Redirect it to a file, a pipe or /dev/null.",
}
"""Advice for each error number of the operating system."""


def ending(error: BaseException) -> tuple[int, str] | None:
    """The exit code and the line for stderr; None means raise the exception again.

    The line may be empty. Bugs and ordinary exits are raised again.
    """
    error = _origin(error)
    if isinstance(error, MatineeError):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt):
        return 130, STOPPED
    if isinstance(error, BrokenPipeError):
        return 141, ""
    line = _system_error(error) or _file_error(error)
    return (2, line) if line else None


def _origin(error: BaseException) -> BaseException:
    """The exception that typer or rich replaced by a silent exit, or `error` itself."""
    cause = error if isinstance(error, SystemExit) and error.code else None
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt | BrokenPipeError | EOFError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return error


def _system_error(error: BaseException) -> str:
    """The line for an error of the operating system or the interpreter; empty for other errors."""
    if isinstance(error, OSError):
        paths = [str(path) for path in (error.filename, error.filename2) if path is not None]
        reason = error.strerror or str(error) or type(error).__name__
        return f"{' → '.join(paths) or 'output'}: {reason}. {HINTS.get(error.errno or 0, '')}".rstrip()
    if isinstance(error, MemoryError):
        reason = str(error) or "an allocation failed"
        return f"memory: {reason}; expected enough free memory. Use fewer rows, or a model that needs less."
    if isinstance(error, RecursionError):
        return "input: brackets or tables are nested too deeply; expected a few levels. Fix the file or the option."
    return ""


def _file_error(error: BaseException) -> str:
    """The line for file content that a library cannot read; empty for other errors."""
    from polars.exceptions import PanicException, PolarsError
    from safetensors import SafetensorError

    reason = f"{next(iter(str(error).splitlines()), '').rstrip('.')} ({type(error).__name__})"
    if isinstance(error, json.JSONDecodeError):
        return f"JSON: {reason}; expected an undamaged file. Delete the damaged file and run the command again."
    if isinstance(error, UnicodeError):
        return f"text: {reason}; expected UTF-8. Convert the file or rename it."
    if isinstance(error, SafetensorError):
        return f"model file: {reason}; expected an undamaged file. Delete its run and run the experiment again."
    if isinstance(error, EOFError):
        return f"file: {reason}; expected a complete file. Fetch or write it again."
    if isinstance(error, PanicException | PolarsError):
        return f"data: {reason}; expected values of the column's type. Look at the file: matinee data inspect FILE."
    return ""
