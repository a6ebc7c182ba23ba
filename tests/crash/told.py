"""What a subscriber was told, and what it must be told: read from tables and files without the feed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from hybridstore.schema.feed import why_not_followed

if TYPE_CHECKING:
    from pathlib import Path

    from hybridstore.hot.feed_event import Event
    from hybridstore.schema.dataset import Dataset
    from hybridstore.store import HybridStore


class Line(NamedTuple):
    """One event in a subscriber's journal.

    Attributes:
        token: Where to go on behind it.
        dataset: Whose row.
        kind: recorded or corrected.
        row_id: Number of the row.
    """

    token: str
    dataset: str
    kind: str
    row_id: int


def line_of(event: Event) -> bytes:
    """Return an event as a line of a journal."""
    line = Line(event.token, event.dataset, event.kind, event.row["id"])
    return json.dumps(line).encode() + b"\n"


def read_journal(journal: Path) -> list[Line]:
    """Return the whole lines of a journal."""
    content = journal.read_bytes() if journal.exists() else b""
    return [Line(*json.loads(line)) for line in content.split(b"\n")[:-1]]


def resume(journal: Path) -> str | None:
    """Cut off a line that a kill left half written.

    Args:
        journal: The journal; it is created.

    Returns:
        The token of its last whole line; None where it has none.
    """
    lines = read_journal(journal)
    with journal.open("a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
    return lines[-1].token if lines else None


def committed(store: HybridStore) -> list[tuple[str, str, int]]:
    """Return every event there ever was, in the order of commits. No move may be under way.

    Args:
        store: The store.

    Returns:
        Dataset, kind and row number of each.
    """
    corrections = store.database.readers.rows(
        "SELECT dataset, row_id, new_row_id, old_row, corrected_at, id FROM corrections ORDER BY id"
    )
    inserted = {(name, new_id) for name, row_id, new_id, *_ in corrections if row_id != new_id}
    first_us: dict[tuple[str, int], int] = {}
    for name, row_id, _, old_row, *_ in corrections:
        first_us.setdefault((name, row_id), json.loads(old_row)["recorded_at"])
    followed = [dataset for dataset in store.database.registry.values() if why_not_followed(dataset) is None]
    events: list[tuple[int, int, int, str, str, int]] = []
    for order, dataset in enumerate(followed):
        for row_id, recorded_us in _rows(store, dataset).items():
            if (dataset.name, row_id) not in inserted:
                ts_us = first_us.get((dataset.name, row_id), recorded_us)
                events.append((ts_us, order, row_id, dataset.name, "recorded", row_id))
    names = {dataset.name for dataset in followed}
    for name, _, new_id, _, corrected_us, number in corrections:
        if name in names:
            events.append((corrected_us, len(followed), number, name, "corrected", new_id))
    return [event[3:] for event in sorted(events)]


def _rows(store: HybridStore, dataset: Dataset) -> dict[int, int]:
    """Return the commit time of every row of the hot store and of the files, superseded ones included."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: list[tuple[Any, ...]] = list(
        store.database.readers.rows(f"SELECT id, recorded_at FROM {dataset.name}")
    )
    paths = store.database.readers.rows(
        "SELECT path FROM archive_files WHERE dataset = ? AND replaced_seq IS NULL", (dataset.name,)
    )
    for (path,) in paths:
        table = pq.ParquetFile(store.root / path).read(columns=["id", "recorded_at"])
        times = table.column("recorded_at").cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        found += zip(table.column("id").to_pylist(), times.to_pylist(), strict=True)
    rows = dict(found)
    assert len(rows) == len(found), f"{dataset.name}: a row is in two places"
    return rows
