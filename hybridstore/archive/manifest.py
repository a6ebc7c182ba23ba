"""The manifest: which archived files count, and up to where. Pure: rows in, rows out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

from hybridstore.records import Record
from hybridstore.schema.internal import ARCHIVE_FILES


class ArchiveFile(Record, frozen=True, gc=False):
    """One file of the manifest; the fields are the columns of ``archive_files``.

    Attributes:
        file_id: Unique for ever.
        dataset: Whose rows it holds.
        tier: hot, warm, cold or frozen.
        path: Relative to the root, with forward slashes.
        start_us: First moment of its partition, us UTC.
        end_us: First moment after its partition, us UTC.
        id_min: Smallest row number in it.
        id_max: Largest row number in it.
        visible_through: While it is being published: rows up to this id count; None once all do.
        time_min_us: Earliest row, us UTC.
        time_max_us: Latest row, us UTC.
        symbol_min: Smallest symbol in it.
        symbol_max: Largest symbol in it.
        row_count: Rows in it.
        size_bytes: Its size.
        sha256: Hash of its whole content, hexadecimal.
        sums: Exact sum of each MONEY and TICK column, JSON with decimal text.
        schema_version: Version of the store's schema it was written under.
        column_count: Columns its rows have, the row number included: a declaration only ever gets more of them.
        created_seq: Commit that made it count.
        replaced_seq: Commit that replaced it; None while it counts.
        url: The object store below which its object has the same path; None where it only lies in the root.
        offloaded_at: Since when its object is proven, us UTC; only then the file in the root may go.
    """

    file_id: str
    dataset: str
    tier: str
    path: str
    start_us: int
    end_us: int
    id_min: int
    id_max: int
    visible_through: int | None
    time_min_us: int
    time_max_us: int
    symbol_min: str | None
    symbol_max: str | None
    row_count: int
    size_bytes: int
    sha256: str
    sums: str
    schema_version: int
    column_count: int
    created_seq: int = 0
    replaced_seq: int | None = None
    url: str | None = None
    offloaded_at: int | None = None

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        """Take a row of ``archive_files``.

        Args:
            row: Its columns in declared order.

        Returns:
            The file.
        """
        return cls(*row)

    def as_row(self) -> tuple[Any, ...]:
        """Return the file as a row of ``archive_files``.

        Returns:
            Its columns in declared order.
        """
        return tuple(getattr(self, name) for name in ARCHIVE_FILES.column_names)


def prune(
    files: Iterable[ArchiveFile],
    *,
    start_us: int | None = None,
    end_us: int | None = None,
    symbol: str | None = None,
) -> list[ArchiveFile]:
    """Leave out files that cannot hold what is asked for, without opening one.

    Args:
        files: Files of one dataset.
        start_us: Rows from this moment on, us UTC.
        end_us: Rows before this moment, us UTC.
        symbol: Rows of this symbol.

    Returns:
        The files that may hold such rows, in order.
    """
    return [
        file
        for file in files
        if (start_us is None or file.time_max_us >= start_us)
        and (end_us is None or file.time_min_us < end_us)
        and (
            symbol is None
            or file.symbol_min is None
            or file.symbol_max is None
            or file.symbol_min <= symbol <= file.symbol_max
        )
    ]


def split(files: Iterable[ArchiveFile]) -> tuple[list[ArchiveFile], list[ArchiveFile]]:
    """Part the files all of whose rows count from those still being published.

    Args:
        files: Any files.

    Returns:
        Complete files, publishing files.
    """
    complete: list[ArchiveFile] = []
    publishing: list[ArchiveFile] = []
    for file in files:
        (complete if file.visible_through is None else publishing).append(file)
    return complete, publishing
