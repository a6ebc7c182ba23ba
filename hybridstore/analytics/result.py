"""The answer to a question: an Arrow table with the conversions analysts reach for."""

from __future__ import annotations

import html
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hybridstore.errors import QueryFailed

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_ROWS_SHOWN = 50
_ROWS_PRINTED = 10


class Result:
    """Rows x columns, complete when it is handed out.

    Args:
        table: The answer.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(self._table.column_names)

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self._table.num_rows)

    def arrow(self) -> pa.Table:
        """Return the answer as it is.

        Returns:
            The Arrow table; money is decimal128, times are timestamp[us, UTC].
        """
        return self._table

    def pl(self) -> pl.DataFrame:
        """Return the answer to polars, without copying where that can be.

        Returns:
            A polars DataFrame.
        """
        import polars as pl

        frame = pl.from_arrow(self._table)
        assert isinstance(frame, pl.DataFrame)
        return frame

    def df(self) -> pd.DataFrame:
        """Return the answer to pandas.

        Returns:
            A pandas DataFrame; money stays Decimal.

        Raises:
            QueryFailed: pandas is not installed.
        """
        try:
            return self._table.to_pandas()
        except ImportError as error:
            raise QueryFailed(
                "pandas is not installed", operation="df()", hint="pip install pandas, or use .pl() or .arrow()"
            ) from error

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the answer as Python values.

        Returns:
            Tuples in column order; money is Decimal, times are aware datetimes.
        """
        columns = [column.to_pylist() for column in self._table.columns]
        return list(zip(*columns, strict=True)) if columns else []

    def __repr__(self) -> str:
        """Return the first rows as text."""
        shown = self._table.slice(0, _ROWS_PRINTED)
        lines = [" | ".join(self.columns)]
        lines += [" | ".join(plain(value) for value in row) for row in Result(shown).rows()]
        return "\n".join(lines) + f"\n[{len(self):,} rows x {len(self.columns)} columns]"

    def _repr_html_(self) -> str:
        """Return the first rows as an HTML table, for notebooks."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(plain(value))}</td>" for value in row) + "</tr>"
            for row in Result(self._table.slice(0, _ROWS_SHOWN)).rows()
        )
        note = f"<p>{len(self):,} rows x {len(self.columns)} columns</p>"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}"


def plain(value: object) -> str:
    """Write a value for people: money without an exponent, nothing for NULL.

    Args:
        value: Any value of a result.

    Returns:
        Its text.
    """
    if value is None:
        return ""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
