"""`matinee explain`: the contribution of each history item to a score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import polars as pl

    from matinee.data import Vocabulary


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("explain")(explain)


def explain(
    run: Annotated[Path, typer.Argument(help="A run folder that contains its model.")],
    user: Annotated[str, typer.Argument(help="A user id of the log.")],
    item: Annotated[
        str | None, typer.Argument(help="An item id of the log. Default: the first item of the user's list.")
    ] = None,
    rows: Annotated[int, typer.Option(help="Maximum number of contributions to print.", min=1)] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per contribution.")] = False,
) -> None:
    """Print what each item of a user's history adds to an item's score."""
    import json

    from matinee.cli._screen import out, table
    from matinee.explain import explain as contributions_of
    from matinee.runs import open_run, prepare
    from matinee.runs.refit import experiment_of

    source = open_run(run)
    model = source.model()
    prepared = prepare(experiment_of(source))
    log, split = prepared.log, prepared.split
    row = _row(split.target.user, _code(log.users, user, "user"), user)
    history = split.query.rows(row, row + 1)
    lists = source.lists(log.users, log.items)
    code = int(lists.item[_row(lists.user, _code(log.users, user, "user"), user), 0])
    if item is not None:
        code = _code(log.items, item, "item")
    parts = contributions_of(model, history, code)
    score = float(parts["contribution"].sum())
    if as_json:
        typer.echo(json.dumps(parts.to_dicts()))
        return
    name = log.items.ids[code] if log.titles is None else f"{log.items.ids[code]} {log.titles[code]}"
    out.print(f"{source.kind}: score of {name} for user {user} is {score:.4f}", markup=False, highlight=False)
    cells = [[_label(part), f"{part['contribution']:+.4f}", f"{part['share']:.1%}"] for part in _dicts(parts, rows)]
    out.print(table("", ["item of the history", "adds", "share"], cells))
    if len(parts) > rows:
        rest = float(parts["contribution"][rows:].sum())
        out.print(f"{len(parts) - rows:,} more items add {rest:+.4f}.", markup=False, highlight=False)


def _dicts(parts: pl.DataFrame, rows: int) -> list[dict[str, Any]]:
    return parts.head(rows).to_dicts()


def _label(part: dict[str, Any]) -> str:
    """The id of an item or of a pair of items, with titles where known."""
    labels = [f"{part['item']} {part.get('title') or ''}".strip()]
    if part["with"] is not None:
        labels.append(f"{part['with']} {part.get('title of with') or ''}".strip())
    return " with ".join(labels)


def _code(vocabulary: Vocabulary, raw: str, what: str) -> int:
    """The code of a raw id. Raises `SpecError` for an unknown id."""
    from matinee.errors import SpecError

    code = int(vocabulary.encode([raw])[0])
    if code < 0:
        raise SpecError(what, f"found {raw!r}", f"an id of the run's log, e.g. {vocabulary.ids[0]!r}")
    return code


def _row(users: Any, code: int, raw: str) -> int:
    """The row of a user among the users (m,) of the run."""
    import numpy as np

    from matinee.errors import SpecError

    rows = np.flatnonzero(users == code)
    if len(rows) == 0:
        raise SpecError("user", f"found {raw!r}", "a user that has a list in this run")
    return int(rows[0])
