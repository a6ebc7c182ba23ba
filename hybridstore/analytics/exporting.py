"""Rows for anybody else: one dataset filtered, or all of them as plain Hive-partitioned Parquet.

A Hive folder needs no reader of ours and no table format: ``<dataset>/year=2026/month=03/part-0.parquet``, one moment,
every row once. It is written beside its place and renamed when it is whole, so that a half one is never taken for it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING

from hybridstore.analytics.result import Result
from hybridstore.analytics.scan import check_bounds
from hybridstore.analytics.snapshot import Snapshot
from hybridstore.durable import make_directories, telling_failures
from hybridstore.errors import ConfigError
from hybridstore.named_sql import load_named_sql
from hybridstore.records import Record
from hybridstore.schema.dataset import Dataset
from hybridstore.schema.registry import Registry

if TYPE_CHECKING:
    import pyarrow as pa

QUERIES = load_named_sql(__package__, "export.sql")
Told = Callable[[str, int], object]
"""Called with a dataset and how many rows of it were written since the last call."""


class HiveFolder(Record, frozen=True, gc=False):
    """What was exported.

    Attributes:
        folder: Where.
        rows: Rows by dataset; those without rows have no folder.
        files: How many files.
        size_bytes: Their size.
        seq: Number of the last commit that is in it.
    """

    folder: str
    rows: dict[str, int]
    files: int
    size_bytes: int
    seq: int


def export_rows(
    snapshot: Snapshot,
    registry: Registry,
    name: str,
    *,
    start: object = None,
    end: object = None,
    symbol: str | None = None,
    account: str | None = None,
) -> Result:
    """Return rows of one dataset, as they happened.

    Args:
        snapshot: The moment.
        registry: The store's datasets.
        name: Which.
        start: From, inclusive, by the dataset's time; None means the beginning.
        end: To, exclusive; None means the end.
        symbol: Only this market or asset.
        account: Only this account.

    Returns:
        The rows.

    Raises:
        UnknownDataset: There is no dataset of that name.
        InvalidValue: A moment does not fit, or the dataset has no such column.
    """
    dataset = _public(registry, name)
    bounds = check_bounds(dataset, start, end, symbol, account)
    filters = (
        (bounds.time, ">=", "start", _moment(bounds.start_us)),
        (bounds.time, "<", "end", _moment(bounds.end_us)),
        (bounds.symbol_column, "=", "symbol", symbol),
        ("account", "=", "account", account),
    )
    used = [one for one in filters if one[3] is not None]
    wanted = " AND ".join(f'"{column}" {sign} ${told}' for column, sign, told, _ in used) or "true"
    question = QUERIES["rows"].format(dataset=dataset.name, wanted=wanted, order=_order(dataset))
    return snapshot.sql(question, **{told: value for _, _, told, value in used})


def write_hive(
    snapshot: Snapshot,
    registry: Registry,
    folder: Path,
    datasets: Iterable[str] | None = None,
    on_rows: Told = lambda _dataset, _rows: None,
) -> HiveFolder:
    """Write datasets as plain Hive-partitioned Parquet.

    Args:
        snapshot: The moment.
        registry: The store's datasets.
        folder: A new folder, or an empty one.
        datasets: Which; None means all.
        on_rows: Told how far it is.

    Returns:
        What was written: by year and month of the dataset's time; states, which have none that lasts, in one file.

    Raises:
        ConfigError: The folder is not empty.
        UnknownDataset: There is no dataset of that name.
        StorageFull: There is no room for it.
        StorageFailure: It cannot be written.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there and not empty", operation="export", hint="name a new folder")
    names = registry.public if datasets is None else tuple(dict.fromkeys(datasets))
    wanted = [_public(registry, name) for name in names]
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    rows: dict[str, int] = {}
    written: list[Path] = []
    try:
        with telling_failures("export", folder):
            for dataset in wanted:
                for path, parts in _files(snapshot, dataset, beside / dataset.name):
                    count = _write(path, parts, dataset.name, on_rows)
                    rows[dataset.name] = rows.get(dataset.name, 0) + count
                    written.append(path)
            make_directories(beside)
            size_bytes = sum(path.stat().st_size for path in written)
            if folder.exists():
                folder.rmdir()  # empty: a rename onto it works on no Windows
            beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return HiveFolder(str(folder), rows, len(written), size_bytes, snapshot.seq)


def _public(registry: Registry, name: str) -> Dataset:
    if name not in registry.public:
        raise registry.unknown(name)
    return registry[name]


def _files(snapshot: Snapshot, dataset: Dataset, folder: Path) -> Iterator[tuple[Path, Iterator[pa.Table]]]:
    """Return each file's place with its rows, a day at a time: a month of ticks need not fit into memory."""
    order = _order(dataset)
    if dataset.kind == "state" or dataset.tiering is None:
        question = QUERIES["all_rows"].format(dataset=dataset.name, order=order)
        found = snapshot.sql(question).arrow()
        if found.num_rows:
            yield folder / "part-0.parquet", iter([found])
        return
    time = dataset.tiering.time
    days = snapshot.sql(QUERIES["days"].format(dataset=dataset.name, time=time)).rows()
    question = QUERIES["rows_of_day"].format(dataset=dataset.name, time=time, order=order)
    for (year, month), of_month in groupby((day for day, _ in days), key=lambda day: (day.year, day.month)):
        parts = (snapshot.sql(question, start=begin, end=begin + timedelta(days=1)).arrow()
                 for begin in map(_midnight, of_month))  # fmt: skip
        yield folder / f"year={year:04}" / f"month={month:02}" / "part-0.parquet", parts


def _write(path: Path, parts: Iterator[pa.Table], dataset: str, on_rows: Told) -> int:
    import pyarrow.parquet as pq

    make_directories(path.parent)
    count = 0
    first = next(parts)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        for part in chain((first,), parts):
            writer.write_table(part)
            count += part.num_rows
            on_rows(dataset, part.num_rows)
    return count


def _order(dataset: Dataset) -> str:
    time = () if dataset.tiering is None else (dataset.tiering.time,)
    columns = [*dict.fromkeys((*time, *dataset.key))] or list(dataset.column_names)
    return ", ".join(f'"{name}"' for name in columns)


def _moment(moment_us: int | None) -> datetime | None:
    return None if moment_us is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment_us)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
