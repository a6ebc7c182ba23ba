"""What a write must know of the archives, and what was found there: values passed between writer and whoever looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Key = tuple[Any, ...]
Stored = tuple[Any, ...]


class Need(NamedTuple):
    """Rows to look for in the archives.

    Attributes:
        dataset: Whose.
        columns: By which columns they are looked for.
        key: Their stored forms.
        day: UTC day of their unit since 1970; None where any may hold them.
    """

    dataset: str
    columns: tuple[str, ...]
    key: Key
    day: int | None


class Finding(NamedTuple):
    """What was found for one need.

    Attributes:
        files: The files that were looked into: all that counted for the dataset and day.
        rows: Stored columns of the rows that have the key, by row number.
    """

    files: frozenset[str]
    rows: tuple[Stored, ...]


Known = dict[Need, Finding]
Lookup = Callable[[tuple[Need, ...]], Known]
NOTHING: Known = {}
