"""What a reader sees who trusts nothing: one snapshot over hot rows and manifest, every file hashed, every row counted.

It shares no code with the product's own reading, so that a mistake there cannot hide a mistake in the move.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections import Counter
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import apsw

from hybridstore.config import DATABASE_NAME
from hybridstore.retention.audit import AuditEntry, broken_entry
from hybridstore.schema.types import LogicalType
from tests.crash.stock import DATASETS, corrected

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pyarrow as pa

    from hybridstore.schema.dataset import Dataset
    from tests.crash.stock import Row, Rows

_MANIFEST = (
    "SELECT dataset, path, visible_through, row_count, size_bytes, sha256, id_min, id_max FROM archive_files"
    " WHERE replaced_seq IS NULL"
)


WAYS = ("one", "two", "folder", "limitless")
"""Manifest and hot rows in one transaction; in two; the folder instead of the manifest; whole files instead of the
part that is published."""


class Wrong(AssertionError):
    """A snapshot showed something that must never be."""


class Observer:
    """Reads snapshots of one store.

    Args:
        root: The store's folder.
        way: How to read, see :data:`WAYS`; all but "one" are mutants.
        decoded: Rows of files by SHA-256, to share between observers of stores that hold the same files.
    """

    def __init__(
        self,
        root: Path,
        *,
        way: str = "one",
        decoded: dict[str, dict[int, Row]] | None = None,
    ) -> None:
        self._root = root
        assert way in WAYS
        self._way = way
        self._decoded: dict[str, dict[int, Row]] = {} if decoded is None else decoded
        self._connection = apsw.Connection(str(root / DATABASE_NAME), flags=apsw.SQLITE_OPEN_READWRITE)
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._connection.set_busy_timeout(10_000)
        self._connection.pragma("query_only", value=True)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def rows(self, pause_s: float = 0.0) -> Rows:
        """Read everything in one snapshot.

        Args:
            pause_s: How long to wait between the manifest and the files: time for a mover to pull them away.

        Returns:
            All rows of the datasets, by dataset and row number.

        Raises:
            Wrong: A file is missing or changed, or a row is there twice.
        """
        self._connection.execute("BEGIN")
        try:
            manifest: list[tuple[Any, ...]] = self._connection.execute(_MANIFEST).fetchall()
            superseded = set(self._connection.execute("SELECT dataset, row_id FROM superseded_rows"))
            hashes = {row[0] for row in self._connection.execute("SELECT key_hash FROM archived_keys")}
            if self._way == "folder":
                manifest = self._all_files()
            if self._way == "two":
                self._connection.execute("ROLLBACK; BEGIN")
            time.sleep(pause_s)
            found: Rows = {dataset.name: {} for dataset in DATASETS}
            for dataset in DATASETS:
                for entry in manifest:
                    if entry[0] == dataset.name:
                        _add(found[dataset.name], self._archived(dataset, entry[1:]), str(entry[1]))
                rows = found[dataset.name]
                for number in [number for number in rows if (dataset.name, number) in superseded]:
                    del rows[number]
                if dataset.remembers_keys and self._way == "one":
                    _check_keys(dataset, rows.values(), hashes)
                _add(rows, self._hot(dataset), "the hot store")
        finally:
            self._connection.execute("ROLLBACK")
        return found

    def integrity(self) -> str:
        """Return "ok", or what SQLite's integrity check found."""
        return "; ".join(str(row[0]) for row in self._connection.execute("PRAGMA integrity_check"))

    def broken_audit_entry(self) -> int | None:
        """Return the number of the first audit entry that does not follow from the one before, if any."""
        entries: list[tuple[Any, ...]] = self._connection.execute(
            "SELECT entry, occurred_at, action, detail, previous_sha256, sha256 FROM audit_log ORDER BY entry"
        ).fetchall()
        return broken_entry(AuditEntry(*entry) for entry in entries)

    def counted_twice(self) -> list[str]:
        """Return the files that do not have exactly one audit entry and one move or merge that ended, as they must."""
        entries = self._connection.execute(
            "SELECT detail FROM audit_log WHERE action IN ('move', 'merge')"
        ).fetchall()
        audited = Counter(json.loads(str(row[0]))["file_id"] for row in entries)
        moved = Counter(
            row[0]
            for row in self._connection.execute(
                "SELECT file_id FROM archive_moves WHERE state = 'done'"
                " UNION ALL SELECT json_extract(w.value, '$[0]') FROM archive_replacements, json_each(writes) AS w"
                " WHERE state = 'done'"
            )
        )
        files = {row[0] for row in self._connection.execute("SELECT file_id FROM archive_files")}
        return sorted(
            str(file) for file in files | {*audited, *moved} if (audited[file], moved[file]) != (1, 1)
        )

    def unreferenced(self) -> list[str]:
        """Return the files below archives/ that no manifest row names, relative to the root, sorted."""
        named = {row[0] for row in self._connection.execute("SELECT path FROM archive_files")}
        archives = self._root / "archives"
        files = {path.relative_to(self._root).as_posix() for path in archives.rglob("*") if path.is_file()}
        return sorted(files - named)

    def hot_ids(self, dataset: Dataset) -> set[int]:
        """Return the row numbers of a dataset that are in the hot store."""
        return {int(row[0]) for row in self._connection.execute(f"SELECT id FROM {dataset.name}")}

    def _archived(self, dataset: Dataset, entry: tuple[Any, ...]) -> dict[int, Row]:
        path, visible_through, row_count, size_bytes, sha256, id_min, id_max = entry
        try:
            content = (self._root / path).read_bytes()
        except FileNotFoundError:
            raise Wrong(f"the manifest names {path}, which does not exist") from None
        if len(content) != size_bytes or hashlib.sha256(content).hexdigest() != sha256:
            raise Wrong(f"{path} is not the file that was published: {len(content)} bytes, not {size_bytes}")
        rows = self._decoded.get(sha256)
        if rows is None:
            rows = self._decoded[sha256] = _decode(dataset, content)
        if (len(rows), min(rows), max(rows)) != (row_count, id_min, id_max):
            raise Wrong(f"{path} holds {len(rows)} rows {min(rows)}..{max(rows)}, the manifest says {entry}")
        if visible_through is None or self._way == "limitless":
            return rows
        return {number: row for number, row in rows.items() if number <= visible_through}

    def _all_files(self) -> list[tuple[Any, ...]]:
        """Make a manifest of what lies in the folder, as a reader would who believes in folders."""
        entries = []
        for path in sorted((self._root / "archives").rglob("*.parquet")):
            content, name = path.read_bytes(), path.relative_to(self._root).as_posix()
            dataset = next(dataset for dataset in DATASETS if path.name.startswith(f"{dataset.name}-"))
            ids = _decode(dataset, content)
            sha256 = hashlib.sha256(content).hexdigest()
            entries.append((dataset.name, name, None, len(ids), len(content), sha256, min(ids), max(ids)))
        return entries

    def _hot(self, dataset: Dataset) -> dict[int, Row]:
        columns = ", ".join(("id", *dataset.column_names))
        kinds = [column.type for column in dataset.columns]
        stored: list[tuple[Any, ...]] = self._connection.execute(
            f"SELECT {columns} FROM {dataset.name}"
        ).fetchall()
        return {row[0]: tuple(map(_from_sqlite, kinds, row[1:])) for row in stored}


def _check_keys(dataset: Dataset, archived: Iterable[Row], hashes: set[Any]) -> None:
    """Every archived row that counts is known by its key: else it would be recorded again."""
    places = [dataset.column_names.index(name) for name in dataset.key]
    for row in archived:
        key = tuple([str(row[place]) for place in places])
        if _hash(dataset.name, *key) not in hashes:
            raise Wrong(f"{dataset.name} {key} is archived, and its key is not remembered")


@cache
def _hash(*parts: str) -> int:
    digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _add(found: dict[int, Row], rows: dict[int, Row], place: str) -> None:
    before = len(found)
    found.update(rows)
    if len(found) != before + len(rows):
        raise Wrong(f"{before + len(rows) - len(found)} rows of {place} are in this snapshot twice")


def _from_sqlite(kind: LogicalType, value: str | float | None) -> object:
    if value is None:
        return None
    if kind is LogicalType.MONEY:
        return Decimal(str(value))
    if kind is LogicalType.TICK:
        return Decimal(value).scaleb(-8)
    return value


def _decode(dataset: Dataset, content: bytes) -> dict[int, Row]:
    import pyarrow.parquet as pq

    return table_rows(dataset, pq.ParquetFile(io.BytesIO(content)).read())


def table_rows(dataset: Dataset, table: pa.Table) -> dict[int, Row]:
    """Return the rows of an Arrow table by row number.

    Args:
        dataset: Whose rows they are.
        table: Its columns, the row number among them, in any order.

    Returns:
        The declared columns in order: money and ticks as Decimal, times as us UTC.

    Raises:
        Wrong: A row number is there twice.
    """
    import pyarrow as pa

    columns: list[list[Any]] = []
    for column in dataset.columns:
        values = table.column(column.name)
        if column.type is LogicalType.TIMESTAMP:
            values = values.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        columns.append(values.to_pylist())
    numbers: list[Any] = table.column("id").to_pylist()
    rows: dict[int, Row] = dict(zip(numbers, zip(*columns, strict=True), strict=True))
    if len(rows) != len(numbers):
        raise Wrong(f"{len(numbers) - len(rows)} row numbers of {dataset.name} are there twice")
    return rows


def difference(expected: Rows, found: Rows) -> str | None:
    """Say how a snapshot differs from the truth.

    Args:
        expected: What was recorded at first; corrections that the snapshot shows are taken into account.
        found: What was read.

    Returns:
        None where every row is there once with its content, else a sentence.
    """
    for name, rows in corrected(expected, found).items():
        if rows == found[name]:
            continue
        lost = sorted(rows.keys() - found[name].keys())
        strange = sorted(found[name].keys() - rows.keys())
        changed = sorted(
            number for number in rows.keys() & found[name].keys() if rows[number] != found[name][number]
        )
        return (
            f"{name}: {len(lost)} rows lost {lost[:5]}, {len(strange)} invented {strange[:5]},"
            f" {len(changed)} changed {changed[:5]}"
        )
    return None
