"""The vocabulary of the package: words that its code, its help texts and the README do not use."""

from __future__ import annotations

import re
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

COLUMN_ALIASES = '"personid", "person"'
"""Names of user columns in other files, which readers recognize."""

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


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_banned_word_in_the_package(path):
    text = path.read_text(encoding="utf-8").replace(COLUMN_ALIASES, "")
    lines = text.splitlines()
    found = [f"{n}: {sorted(words)}: {line.strip()}" for n, line in enumerate(lines, 1) if (words := banned_in(line))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", ["README.md", "pyproject.toml"])
def test_no_banned_word_in_the_readme(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert not [f"{n}: {line}" for n, line in enumerate(lines, 1) if banned_in(line)]


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
