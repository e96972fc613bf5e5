"""The command line, one file per command group. A call imports only the file of its command."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from matinee.cli import _streams
from matinee.cli._ending import ending

SUMMARY = "A workbench for top-N recommendation: from an interaction log to checked recommendation lists."


def commands() -> list[str]:
    """The names of all commands, which are the files of this package."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def build_app(argv: Sequence[str]) -> typer.Typer:
    """The application with the command in `argv`, or else with all commands."""
    app = typer.Typer(help=SUMMARY, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback(invoke_without_command=True)(_version)
    known = commands()
    for name in [argv[0]] if argv and argv[0] in known else known:
        importlib.import_module(f"{__name__}.{name}").add(app)
    return app


def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        from matinee import __version__

        sys.stdout.write(f"matinee {__version__}\n")
        raise typer.Exit


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command. A user's mistake prints one line and exits with code 2.

    No partially written output file remains.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        _streams.prepare()
        try:
            build_app(argv)(args=list(argv), prog_name="matinee")
        finally:
            _streams.flush()
    except BaseException as error:
        end = ending(error)
        if end is None:
            raise
        _streams.abandon()
        code, line = end
        if line:
            with suppress(OSError):
                sys.stderr.write(f"matinee: {' '.join(_streams.visible(line).splitlines())}\n")
        sys.exit(code)
