"""`matinee explain`: why an item is on a person's list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import polars as pl

    from matinee.data import Vocabulary


def add(app: typer.Typer) -> None:
    """Put the command on the application."""
    app.command("explain")(explain)


def explain(
    run: Annotated[Path, typer.Argument(help="A run folder that kept its model.")],
    user: Annotated[str, typer.Argument(help="A user's raw id.")],
    item: Annotated[str | None, typer.Argument(help="An item's raw id; nothing means the first of the list.")] = None,
    rows: Annotated[int, typer.Option(help="How many parts of the history to show.", min=1)] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Every part, as a list of objects.")] = False,
) -> None:
    """Show which items of a person's history carry the score of an item, and how much each adds."""
    import json

    from matinee.cli._screen import out, table
    from matinee.explain import explain as parts_of
    from matinee.runs import open_run, prepare
    from matinee.runs.refit import experiment_of

    chosen = open_run(run)
    model = chosen.model()
    prepared = prepare(experiment_of(chosen))
    log, split = prepared.log, prepared.split
    row = _row(split.target.user, _code(log.users, user, "user"), user)
    history = split.query.rows(row, row + 1)
    best = chosen.lists(log.users, log.items)
    code = int(best.item[_row(best.user, _code(log.users, user, "user"), user), 0])
    if item is not None:
        code = _code(log.items, item, "item")
    parts = parts_of(model, history, code)
    score = float(parts["contribution"].sum())
    if as_json:
        typer.echo(json.dumps(parts.to_dicts()))
        return
    name = log.items.ids[code] if log.titles is None else f"{log.items.ids[code]} {log.titles[code]}"
    out.print(f"{chosen.kind} gives {name} the score {score:.4f} for user {user}:", markup=False, highlight=False)
    shown = [[_named(part), f"{part['contribution']:+.4f}", f"{part['share']:.1%}"] for part in _dicts(parts, rows)]
    out.print(table("", ["because of", "adds", "share"], shown))
    if len(parts) > rows:
        rest = float(parts["contribution"][rows:].sum())
        out.print(f"{len(parts) - rows:,} more add {rest:+.4f}.", markup=False, highlight=False)


def _dicts(parts: pl.DataFrame, rows: int) -> list[dict[str, Any]]:
    return parts.head(rows).to_dicts()


def _named(part: dict[str, Any]) -> str:
    """An item or a pair of items, with titles where known."""
    names = [f"{part['item']} {part.get('title') or ''}".strip()]
    if part["with"] is not None:
        names.append(f"{part['with']} {part.get('title of with') or ''}".strip())
    return " with ".join(names)


def _code(vocabulary: Vocabulary, raw: str, what: str) -> int:
    """The code of a raw id as typed."""
    from matinee.errors import SpecError

    code = int(vocabulary.encode([raw])[0])
    if code < 0:
        raise SpecError(what, f"found {raw!r}", f"an id of the run's log, such as {vocabulary.ids[0]!r}")
    return code


def _row(users: Any, code: int, raw: str) -> int:
    """Where a user stands among those the run served."""
    import numpy as np

    from matinee.errors import SpecError

    found = np.flatnonzero(users == code)
    if len(found) == 0:
        raise SpecError("user", f"found {raw!r}", "somebody the run made a list for")
    return int(found[0])
