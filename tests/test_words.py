"""The vocabulary of the package: banned words, short first docstring lines, one definition per public name."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "matinee"

BANNED = {
    "people": "users",
    "person": "user",
    "persons": "users",
    "somebody": "a user, or a new user",
    "nobody": "no user",
    "everybody": "all users",
    "who": "users that",
    "whom": "users that",
    "whose": "of the user",
    "whoever": "the caller",
    "stranger": "new user",
    "strangers": "new users",
    "knob": "hyperparameter or option",
    "knobs": "hyperparameters or options",
    "zoo": "models",
    "said": "recorded",
    "says": "defines",
    "told": "called with",
    "heard": "recorded",
    "unheard": "ignored",
    "learnt": "trained or fitted",
    "settle": "validate",
    "settled": "resolved",
    "took": "interacted with",
    "asked": "queried",
    "judged": "evaluated",
    "honest": "out of fold",
    "honestly": "out of fold",
    "house": "package",
    "room": "package or memory",
    "rooms": "packages",
    "stands": "is",
    "board": "leaderboard",
}
"""Word → what to write instead (DESIGN, Words)."""

BANNED_PHRASES = {"stop fold": "validation split", "learn part": "training set", "nothing means": "None means"}

MAX_WORDS = 15
"""Longest first docstring line of a public name."""

KINDS = {"models", "rules", "weight_searches", "gates", "readers", "cli", "split", "metrics", "choosers"}
"""Packages with one file per kind: their files may define the same names."""

WORD = re.compile(r"[a-z]+|[A-Z][a-z]*")


def words_of(text: str) -> Iterator[str]:
    """Lower-case words of prose and of identifiers (`who_learns`, `Whose`)."""
    for match in WORD.finditer(text):
        yield match.group().lower()


def banned_in(text: str) -> set[str]:
    found = {word for word in words_of(text) if word in BANNED}
    return found | {phrase for phrase in BANNED_PHRASES if phrase in " ".join(text.lower().split())}


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def public(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def long_first_lines(source: str) -> list[str]:
    """`name: line` of every public first docstring line with more than MAX_WORDS words."""
    found: list[str] = []
    for node in public(ast.parse(source)):
        first = (ast.get_docstring(node) or "").partition("\n")[0]
        if len(first.split()) > MAX_WORDS:
            found.append(f"{node.lineno} {node.name}: {first}")
    return found


def defined_twice(sources: dict[str, str]) -> dict[str, list[str]]:
    """Public classes and functions that two files define; files of kinds may share names among themselves."""
    homes: dict[str, list[str]] = defaultdict(list)
    for place, source in sources.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(place)
    return {name: places for name, places in homes.items() if len({_family(place) for place in places}) > 1}


def _family(place: str) -> str:
    """The package of a kind's file, else the file itself."""
    parts = Path(place).parts
    family = next((part for part in parts[:-1] if part in KINDS), None)
    return family if family is not None else place


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_banned_word_in_the_package(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [f"{n}: {sorted(words)}: {line.strip()}" for n, line in enumerate(lines, 1) if (words := banned_in(line))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", ["README.md", "pyproject.toml"])
def test_no_banned_word_in_the_readme(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert not [f"{n}: {line}" for n, line in enumerate(lines, 1) if banned_in(line)]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_first_docstring_lines_are_short(path):
    assert not long_first_lines(path.read_text(encoding="utf-8"))


def test_public_names_are_defined_once():
    sources = {str(path.relative_to(SOURCE)): path.read_text(encoding="utf-8") for path in files()}
    assert not defined_twice(sources)


def test_help_texts_have_no_banned_word():
    import typer
    from typer.testing import CliRunner

    from matinee.cli import build_app, commands

    group = typer.main.get_command(build_app([]))
    for words in [[], *([name] for name in commands()), ["data", "inspect"], ["data", "get"], ["data", "list"]]:
        result = CliRunner().invoke(build_app(words), [*words, "--help"])
        assert not banned_in(result.output), (words, banned_in(result.output))
    assert group is not None


def test_planted_words_are_found():
    assert banned_in("Scores of everybody.") == {"everybody"}
    assert banned_in("def n_people() -> int:") == {"people"}
    assert banned_in("The best on the stop\n fold.") == {"stop fold"}
    assert not banned_in("keyboard, leaderboard, soothsays")
    assert long_first_lines(f'def f():\n    """{"word " * 16}"""\n')
    assert defined_twice({"a/x.py": "class Plan: ...", "b/y.py": "class Plan: ..."}) == {"Plan": ["a/x.py", "b/y.py"]}
    assert not defined_twice({"models/a.py": "def init_weights(): ...", "models/b.py": "def init_weights(): ..."})
