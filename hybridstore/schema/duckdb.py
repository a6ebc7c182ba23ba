"""Projection of a declaration to DuckDB: the view that joins archived files and hot rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.feed import RECORDED_AT
from hybridstore.schema.sqlite import quote_text
from hybridstore.schema.types import moment


class Shown(NamedTuple):
    """A file of which rows are shown.

    Attributes:
        path: Where it is.
        column_count: It has the first so many columns of the declaration; the others are null.
        visible_through: The largest row number that counts, while it is being published; None: all count.
    """

    path: str
    column_count: int
    visible_through: int | None = None


def view_select(
    dataset: Dataset,
    files: Iterable[Shown],
    hot: str | None,
    *,
    superseded: Sequence[int] | str = (),
    known_us: int | None = None,
) -> str:
    """Return the SELECT that shows each row of a dataset exactly once.

    Args:
        dataset: The declaration.
        files: Its files.
        hot: Name of the relation with the hot rows, or None where there are none. Where no file has all columns there
            must be one, for their types.
        superseded: Row numbers in files that no longer count, or the name of a relation that lists them.
        known_us: Rows in files that were committed later do not count, us UTC; None means that all do.

    Returns:
        A SELECT with the dataset's stored columns.
    """
    conditions = []
    if isinstance(superseded, str):
        conditions.append(f'{ROW_ID} NOT IN (SELECT {ROW_ID} FROM "{superseded}")')
    elif superseded:
        conditions.append(f"{ROW_ID} NOT IN ({', '.join(str(int(row)) for row in superseded)})")
    if known_us is not None:
        conditions.append(f"{RECORDED_AT} <= TIMESTAMPTZ {quote_text(moment(known_us).isoformat())}")
    counts = " AND ".join(conditions) or "true"
    complete: dict[int, list[str]] = defaultdict(list)
    parts = []
    for file in files:
        if file.visible_through is None:
            complete[file.column_count].append(file.path)
        else:
            condition = f"{ROW_ID} <= {int(file.visible_through)} AND {counts}"
            parts.append(_select(dataset, file.column_count, [file.path], condition))
    parts += [_select(dataset, width, complete[width], counts) for width in sorted(complete, reverse=True)]
    if hot is not None:
        parts.insert(0, f'SELECT {_names(dataset, len(dataset.stored_names))} FROM "{hot}"')
    return "\nUNION ALL BY NAME\n".join(parts)


def _select(dataset: Dataset, column_count: int, paths: Iterable[str], condition: str) -> str:
    """Files with the same columns are read as one: looking into the first of them is enough."""
    files = ", ".join(map(quote_text, paths))
    where = "" if condition == "true" else f" WHERE {condition}"
    return f"SELECT {_names(dataset, column_count)} FROM read_parquet([{files}], hive_partitioning = false){where}"


def _names(dataset: Dataset, column_count: int) -> str:
    return ", ".join(f'"{name}"' for name in dataset.stored_names[:column_count])
