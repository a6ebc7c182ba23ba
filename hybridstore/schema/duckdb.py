"""Projection of a declaration to DuckDB: the view that joins archived files and hot rows."""

from __future__ import annotations

from collections.abc import Sequence

from hybridstore.schema.dataset import ROW_ID, Dataset
from hybridstore.schema.sqlite import quote_text


def view_select(
    dataset: Dataset,
    complete: Sequence[str],
    publishing: Sequence[tuple[str, int]],
    hot: str | None,
    *,
    alike: bool = False,
    superseded: Sequence[int] = (),
) -> str:
    """Return the SELECT that shows each row of a dataset exactly once.

    Args:
        dataset: The declaration.
        complete: Paths of files all of whose rows count.
        publishing: Paths of files still being published, each with the largest row number that counts.
        hot: Name of the relation with the hot rows, or None where there are none.
        superseded: Row numbers in files that no longer count.
        alike: Whether all complete files have the same columns, so that looking into one of them is enough.

    Returns:
        A SELECT with the dataset's stored columns, in order.
    """
    columns = ", ".join(f'"{name}"' for name in dataset.stored_names)
    counts = f"{ROW_ID} NOT IN ({', '.join(str(int(row)) for row in superseded)})" if superseded else "true"
    where = f" WHERE {counts}" if superseded else ""
    parts = []
    if complete:
        files = ", ".join(map(quote_text, complete))
        by_name = "" if alike else ", union_by_name = true"
        parts.append(
            f"SELECT {columns} FROM read_parquet([{files}]{by_name}, hive_partitioning = false){where}"
        )
    for path, visible_through in publishing:
        source = f"read_parquet({quote_text(path)}, hive_partitioning = false)"
        parts.append(f"SELECT {columns} FROM {source} WHERE {ROW_ID} <= {int(visible_through)} AND {counts}")
    if hot is not None:
        parts.append(f'SELECT {columns} FROM "{hot}"')
    return "\nUNION ALL BY NAME\n".join(parts)
