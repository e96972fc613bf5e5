"""The command line: one file a command group. Only the file of the command that was typed is imported."""

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

SUMMARY = "A workbench for top-N recommendation: from a log of who took what, when, to a checked shortlist."


def commands() -> list[str]:
    """Every command there is: the files of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def build_app(argv: Sequence[str]) -> typer.Typer:
    """The application with the command that was typed, or with all of them where help is wanted."""
    app = typer.Typer(help=SUMMARY, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback(invoke_without_command=True)(_version)
    known = commands()
    for name in [argv[0]] if argv and argv[0] in known else known:
        importlib.import_module(f"{__name__}.{name}").add(app)
    return app


def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        from matinee import __version__

        sys.stdout.write(f"matinee {__version__}\n")
        raise typer.Exit


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command. A user's mistake is one line on stderr and exit code 2; nothing half-written is left behind."""
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
        code, sentence = end
        if sentence:
            with suppress(OSError):
                sys.stderr.write(f"matinee: {' '.join(_streams.visible(sentence).splitlines())}\n")
        sys.exit(code)
