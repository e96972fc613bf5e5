"""The README's commands and its Python example do what they say."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from matinee import models, recommend
from matinee.data.simulate import Simulate
from matinee.data.simulate_write import write_log
from matinee.runs import load_experiment, prepare, runs_in
from tests.typing_words import typed

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_log(Simulate(users=150, items=120, rows=6000).read(), Path("ratings.csv"))
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


def test_combining(here):
    """The table takes the place of the example's own; `theirs.csv` are popular items somebody did not take."""
    text = Path("examples/movies-100k.toml").read_text().replace('kind = "ml-100k"', 'path = "ratings.csv"')
    before, _, after = text.partition("[ensemble]")
    text = before + "[" + after.partition("\n[")[2]
    Path("mine.toml").write_text(text + blocks("toml")[0])
    ready = prepare(load_experiment("mine.toml"))
    split = ready.split
    lists = recommend(models.get("item_knn")().fit(split.train), split.query, 20)
    lists.frame().select("user", "item").write_csv("theirs.csv")
    for line in blocks("bash")[2].splitlines():
        words = shlex.split(line, comments=True)
        assert words[0] == ".venv/bin/matinee"
        assert typed(*words[1:]) == 0, line
    assert sum(run.kind == "ensemble" for run in runs_in("runs")) == 2
    assert any(run.kind == "theirs" for run in runs_in("runs"))


def test_the_python_example(here, capsys):
    example, network, *_ = blocks("python")
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    exec(compile(network, "README.md", "exec"), names)
    assert 1 <= names["spec"].epochs <= 100
    assert names["model"].spec == names["spec"]
    assert "Difference(metric='recall@10'" in capsys.readouterr().out
