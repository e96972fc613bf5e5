"""The commands, tables and Python blocks of the README run, on a small log named as in the README."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from matinee import models, recommend
from matinee.cli import commands
from matinee.data.simulation.spec import Simulate
from matinee.data.write import write_log
from matinee.runs import load_experiment, prepare, runs_in
from tests.typing_words import typed

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def run_lines(block: str) -> None:
    """Run a block of commands line by line; `theirs.csv`, if it is missing, becomes a copy of our submission."""
    for line in block.splitlines():
        words = shlex.split(line, comments=True)
        if words[0] == "cp":
            shutil.copy(words[1], words[2])
            continue
        assert words[0] == ".venv/bin/matinee"
        if "theirs.csv" in words and not Path("theirs.csv").exists():
            shutil.copy("submission.csv", "theirs.csv")
        assert typed(*words[1:]) == 0, line


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with `ratings.csv` and the examples."""
    monkeypatch.chdir(tmp_path)
    write_log(Simulate(users=150, items=120, rows=6000).read(), Path("ratings.csv"))
    shutil.copytree(ROOT / "examples", "examples")
    return tmp_path


def test_the_two_commands_are_makefile_targets():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"^make (\w+)", blocks("bash")[0], flags=re.MULTILINE))
    assert named == {"demo", "test"}
    assert {*named, *re.findall(r"`make (\w+)`", README)} <= targets
    assert "make check test" in (ROOT / ".ci" / "run").read_text()


def test_every_file_that_it_names_exists():
    paths = re.findall(r"`((?:docs|examples|src)/[\w./-]+)`", README)
    assert "docs/own_model.md" in paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_command_in_the_text_exists():
    named = re.findall(r"`matinee (\w+)", README)
    assert {"models", "run"} <= set(named) <= set(commands())


def test_your_own_log(here):
    run_lines(blocks("bash")[1])
    assert Path("submission.csv").is_file()


def test_ensembles(here):
    """The README's table replaces that of the example; `theirs.csv` has lists of another model for the same split."""
    before, _, after = Path("examples/own_log.toml").read_text(encoding="utf-8").partition("[ensemble]")
    Path("mine.toml").write_text(before + "[" + after.partition("\n[")[2] + blocks("toml")[0], encoding="utf-8")
    split = prepare(load_experiment("mine.toml")).split
    lists = recommend(models.get("item_knn")().fit(split.train), split.query, 20)
    lists.frame().select("user", "item").write_csv("theirs.csv")
    run_lines(blocks("bash")[2])
    assert sum(run.kind == "ensemble" for run in runs_in("runs")) == 2
    assert any(run.kind == "theirs" for run in runs_in("runs"))


def test_the_python_blocks(here, capsys):
    example, network, _ = blocks("python")
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    assert "Difference(metric='recall@10'" in capsys.readouterr().out
    exec(compile(network, "README.md", "exec"), names)
    validation = names["validation"]
    assert 1 <= validation.spec.epochs <= 100
    assert validation.metric > 0
    assert validation.seconds > 0
    assert len(validation.history) >= 1
    assert names["model"].spec == validation.spec


def test_the_block_about_models_is_from_the_page_about_own_models():
    page = (ROOT / "docs" / "own_model.md").read_text(encoding="utf-8").splitlines()
    lines = [line.removesuffix(" ...") for line in blocks("python")[2].splitlines()]
    assert [line for line in lines if line not in page] == []
