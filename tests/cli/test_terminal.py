"""Output on terminals, pipes and log files: widths, encodings, control characters."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from matinee.cli import _screen
from matinee.cli._leaderboard import _p
from matinee.cli._screen import Lines, Screen, table
from matinee.cli._streams import visible
from tests.typing_words import typed

ROOT = Path(__file__).parents[2]

EXPERIMENT = """
seed = 5
[data]
kind = "delimited"
path = "log.csv"
[task]
k = 5
metric = "recall@5"
extra_metrics = ["ndcg@5", "hit@5", "coverage@5"]
stored_k = 10
[split]
kind = "mixture"
n_random = 3
n_last = 2
[[model]]
kind = "popularity"
[[model]]
kind = "item_knn"
neighbours = 20
"""

AT_EVERY_WIDTH = """
import fcntl, struct, sys, termios
from tests.typing_words import typed
for width in sys.argv[1].split(","):
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, int(width), 0, 0))
    print(f"WIDTH {width}", flush=True)
    typed("leaderboard")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small log and the runs of two quick models."""
    here = tmp_path_factory.mktemp("terminal")
    before = Path.cwd()
    os.chdir(here)
    try:
        assert typed("simulate", "log.csv", "--users", "60", "--items", "40", "--rows", "900", "--seed", "1") == 0
        Path("exp.toml").write_text(EXPERIMENT)
        assert typed("run", "exp.toml") == 0
    finally:
        os.chdir(before)
    return here


def environment(**changes):
    variables = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    return variables | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "TERM": "xterm"} | changes


def on_terminal(words, folder, **changes):
    """The text that a Python program writes to its terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=environment(**changes), stdin=slave, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        written = b""
        while True:
            try:
                got = os.read(master, 65536)
            except OSError:  # Linux: the last program has closed the terminal
                break
            if not got:
                break
            written += got
    os.close(master)
    assert process.returncode == 0, written
    return written.decode()


def test_the_leaderboard_shows_names_at_every_width(folder):
    written = on_terminal(["-c", AT_EVERY_WIDTH, "30,60,80,100,120,160"], folder)
    written = re.sub(r"\x1b\[[0-9;]*m", "", written).replace("\r", "")
    shown = {int(part.partition("\n")[0]): part.partition("\n")[2] for part in written.split("WIDTH ")[1:]}
    columns = {}
    for width, text in shown.items():
        tables = [line for line in text.splitlines() if line and line[0] in "┏┃┡│└"]
        assert max(map(len, tables)) <= width
        assert "…" not in text
        assert "popularity" in text
        assert "item_knn" in text
        columns[width] = tables[1].count("┃") - 1
    assert columns == {30: 2, 60: 3, 80: 3, 100: 6, 120: 8, 160: 11}
    assert "neighbours=20" in shown[60]
    assert "not shown at this width: coverage@5, fit s, lists s" in shown[120]
    assert "not shown" not in shown[160]


def test_no_color_sends_no_style(folder):
    assert "\x1b[1m" in on_terminal(["-m", "matinee", "leaderboard"], folder)
    assert "\x1b" not in on_terminal(["-m", "matinee", "leaderboard"], folder, NO_COLOR="1")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_character_that_the_encoding_lacks_is_replaced(folder, encoding):
    process = subprocess.run(
        [sys.executable, "-m", "matinee", "leaderboard"],
        cwd=folder,
        env=environment(PYTHONIOENCODING=encoding, LC_ALL="C"),
        capture_output=True,
        check=True,
    )
    assert re.search(rb"0\.\d{4} - 0\.\d{4}", process.stdout)
    assert "popularity" in process.stdout.decode(encoding)


def test_a_pipe_gets_every_column_however_wide(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    kinds = [json.loads(path.read_text()) for path in folder.glob("runs/*/run.json")]
    assert len(kinds) == 2
    monkeypatch.setattr(_screen, "PIPE_WIDTH", 40)
    assert typed("leaderboard") == 0
    assert "lists s" in capsys.readouterr().out


def test_control_characters_are_escaped():
    assert visible("a\x1b[2Jb\x07\x9b\ud800\té\n") == "a\\x1b[2Jb\\x07\\x9b\\ud800\té\n"


def test_titles_are_not_markup(capsys):
    screen = Screen(width=80, force_terminal=False)
    screen.print(table("[x]", ["[red]h", "share"], [["[rec] (2007)", "1"], ["Jaws [/x] :smile:", "\x1b[2J"]]))
    screen.print("[bold]title[/]\x1b]0;name\x07")
    shown = capsys.readouterr().out
    for text in ("[x]", "[red]h", "[rec] (2007)", "Jaws [/x] :smile:", "\\x1b[2J", "[bold]title[/]\\x1b]0;name\\x07"):
        assert text in shown
    assert "\x1b" not in shown


def test_explain_prints_titles_as_they_are(tmp_path, capsys, monkeypatch):
    """Brackets in a title are printed; escape sequences are escaped."""
    monkeypatch.chdir(tmp_path)
    assert typed("simulate", "log", "--users", "60", "--items", "40", "--rows", "900", "--seed", "1") == 0
    titles = Path("log/titles.tsv")
    titles.write_text(titles.read_text().replace("\tFilm", "\t[rec] [/x] \x1b[31mFilm"))
    Path("exp.toml").write_text(EXPERIMENT.replace('"delimited"', '"competition"').replace("log.csv", "log"))
    assert typed("run", "exp.toml") == 0
    run = next(Path("runs").glob("item_knn-*"))
    user = Path("log/train_ratings.csv").read_text().splitlines()[1].partition(",")[0]
    capsys.readouterr()
    assert typed("explain", str(run), user) == 0
    shown = capsys.readouterr().out
    assert "[rec] [/x] \\x1b[31mFilm" in shown
    assert "\x1b" not in shown
    assert typed("explain", str(run), user, "--json") == 0
    assert any("\x1b" in (part["title"] or "") for part in json.loads(capsys.readouterr().out))


def test_stages_are_lines_without_a_terminal(tmp_path, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert typed("run", "exp.toml", "--runs", str(tmp_path)) == 0
    written = capsys.readouterr().err.splitlines()
    for kind in ("popularity", "item_knn"):
        stages = ["fitting", "lists of", "evaluating"]
        at = [next(i for i, line in enumerate(written) if line.startswith(f"{stage} {kind}")) for stage in stages]
        assert at == sorted(at)


def test_a_part_without_targets_is_not_shown(tmp_path, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    runs = ["--runs", str(tmp_path)]
    assert typed("run", "exp.toml", "--set", "split.n_last=0", *runs) == 0
    header = next(line for line in capsys.readouterr().out.splitlines() if "95 % interval" in line)
    assert "last" not in header
    assert "random" not in header  # alone, it is the same as all
    assert typed("leaderboard", "--csv", *runs) == 0
    capsys.readouterr()
    assert typed("leaderboard", "--json", *runs) == 0
    assert all("parts" not in row["recall@5"] for row in json.loads(capsys.readouterr().out))


def test_nested_stages_print_at_most_a_line_per_minute(capsys, monkeypatch):
    lines, now = Lines(), [0.0]
    monkeypatch.setattr(_screen.time, "monotonic", lambda: now[0])
    with lines.progress("fitting", 1):
        for epoch in range(1, 8):
            now[0] = epoch * 25.0
            with lines.progress(f"epoch {epoch}", 5) as advance:
                advance(5)
    with lines.progress("lists", 1):
        pass
    assert capsys.readouterr().err.split("\n") == ["fitting", "epoch 3", "epoch 6", "lists", ""]


NESTED = """
from matinee.cli._screen import observer
with observer.progress("outer", 2) as outer, observer.progress("inner", 3) as inner:
    inner(3)
    outer(1)
"""


def test_bars_may_be_nested(folder):
    written = on_terminal(["-c", NESTED], folder)
    assert "outer" in written
    assert "inner" in written


def test_a_small_p_is_printed_as_papers_do():
    assert [_p(p) for p in (7e-130, 0.00099, 0.001, 0.0123, 1.0)] == [
        "p < .001",
        "p < .001",
        "p .001",
        "p .012",
        "p 1.000",
    ]
