"""The README's commands and its Python example do what they say."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from matinee.data.simulate import Simulate
from matinee.data.simulate_write import write
from tests.typing_words import typed

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Simulate(users=150, items=120, rows=6000).read(), Path("ratings.csv"))
    shutil.copytree(ROOT / "examples", "examples")
    return tmp_path


def test_the_two_commands_are_makefile_targets():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"^make (\w+)", blocks("bash")[0], flags=re.MULTILINE))
    assert named == {"demo", "test"}
    assert named <= targets
    assert "make check test" in (ROOT / ".ci" / "run").read_text()


def test_your_own_log(here):
    """Line by line; `mine.toml` gets its path as the comment says, `theirs.csv` is our own file under another name."""
    for line in blocks("bash")[1].splitlines():
        words = shlex.split(line, comments=True)
        if words[0] == "cp":
            text = Path(words[1]).read_text()
            Path(words[2]).write_text(text.replace('kind = "ml-100k"', 'path = "ratings.csv"'))
            continue
        assert words[0] == ".venv/bin/matinee"
        if "theirs.csv" in words:
            shutil.copy("submission.csv", "theirs.csv")
        assert typed(*words[1:]) == 0, line
    assert Path("submission.csv").is_file()


def test_the_python_example(here, capsys):
    (example, *_) = blocks("python")
    exec(compile(example, "README.md", "exec"), {})
    assert "Difference(metric='recall@10'" in capsys.readouterr().out
