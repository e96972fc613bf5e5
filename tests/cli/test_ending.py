"""Every failure of a command is one line on stderr and an exit code, without a traceback."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import polars as pl
import pytest
from polars.exceptions import PanicException
from safetensors import SafetensorError

from matinee.cli._ending import STOPPED
from tests.typing_words import typed

RAISED = {
    "denied": (
        PermissionError(errno.EACCES, "Permission denied", "runs/a"),
        "runs/a: Permission denied. Use another path",
    ),
    "renamed": (OSError(errno.ENOSPC, "No space left on device", "a", None, "b"), "a → b: No space left on device."),
    "no path": (OSError(errno.EFBIG, "File too large"), "output: File too large. Raise the limit (ulimit -f)"),
    "no number": (OSError("odd"), "output: odd."),
    "memory": (MemoryError("Unable to allocate 5 GiB"), "memory: Unable to allocate 5 GiB; expected"),
    "memory without text": (MemoryError(), "memory: an allocation failed; expected"),
    "depth": (RecursionError("maximum recursion depth exceeded"), "input: brackets or tables are nested too deeply"),
    "encode": (UnicodeEncodeError("ascii", "é", 0, 1, "ordinal not in range(128)"), "text: 'ascii' codec can't encode"),
    "decode": (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "text: 'utf-8' codec can't decode"),
    "tensors": (SafetensorError("Error while deserializing header"), "model file: Error while deserializing header"),
    "frame": (pl.exceptions.ComputeError("could not parse\nthe rest of it"), "data: could not parse (ComputeError)"),
    "panic": (PanicException("index out of bounds"), "data: index out of bounds (PanicException)"),
    "json": (json.JSONDecodeError("Expecting value", "", 0), "JSON: Expecting value: line 1 column 1"),
}


@pytest.fixture
def raising(monkeypatch, tmp_path):
    """A command that raises an error after it has started."""
    monkeypatch.chdir(tmp_path)

    def run(error):
        def fail(root, message):
            raise error

        monkeypatch.setattr("matinee.runs.runs_in", fail)
        return typed("leaderboard")

    return run


@pytest.mark.parametrize("case", RAISED)
def test_a_system_error_is_one_line_and_exit_code_2(raising, capsys, case):
    error, message = RAISED[case]
    assert raising(error) == 2
    written = capsys.readouterr().err
    assert written.startswith(f"matinee: {message}")
    assert written.count("\n") == 1


def test_an_interrupt_ends_with_130_and_a_hint(raising, capsys):
    assert raising(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == f"matinee: {STOPPED}\n"


def test_a_broken_pipe_ends_with_141(raising, capsys):
    assert raising(BrokenPipeError(errno.EPIPE, "Broken pipe")) == 141
    assert capsys.readouterr().err == ""


def test_a_bug_keeps_its_traceback(raising):
    with pytest.raises(ZeroDivisionError):
        raising(ZeroDivisionError())


def test_usage_errors_keep_their_text(capsys):
    assert typed("leaderboard", "--no-such") == 2
    written = capsys.readouterr().err
    assert "No such option" in written
    assert "Usage" in written


def test_control_characters_of_a_message_do_not_reach_the_terminal(capsys):
    assert typed("models", "ea\x1b[31ms\ne") == 2
    written = capsys.readouterr().err
    assert "ea\\x1b[31ms" in written
    assert "\x1b" not in written
    assert written.count("\n") == 1


PROGRAM = [sys.executable, "-m", "matinee", "models", "--json"]


def started(command, **options):
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


def test_standard_output_closed():
    process = started(["/bin/sh", "-c", '"$@" >&-', "sh", *PROGRAM])
    assert process.communicate()[1].startswith("matinee: standard output: it is closed.")
    assert process.returncode == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
def test_standard_output_full():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        process = started(PROGRAM, stdout=full)
        written = process.communicate()[1]
    assert process.returncode == 2
    assert "No space left on device" in written
    assert written.count("\n") == 1


@pytest.mark.parametrize("words", [["models", "--json"], ["models"], ["--help"]])
def test_a_pipe_without_a_reader(words):
    read, write = os.pipe()
    os.close(read)
    process = started([*PROGRAM[:3], *words], stdout=write)
    os.close(write)
    assert process.communicate()[1] == ""
    assert process.returncode == 141


INTERRUPTED = """
import os, signal
import matinee.runs
from matinee.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
matinee.runs.runs_in = lambda root, message: os.kill(os.getpid(), signal.SIGINT)
main(["leaderboard"])
"""


def test_ctrl_c_during_a_command():
    process = started([sys.executable, "-c", INTERRUPTED])
    assert process.communicate()[1] == f"matinee: {STOPPED}\n"
    assert process.returncode == 130
