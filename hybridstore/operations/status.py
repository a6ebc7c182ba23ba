"""The condition of a store as one dict, for people (``hybridstore status``) and programs (``--json``)."""

from __future__ import annotations

from typing import Any

from hybridstore.hot.database import DatabaseManager
from hybridstore.schema.migrations import SCHEMA_VERSION
from hybridstore.schema.types import moment


def collect_status(database: DatabaseManager) -> dict[str, Any]:
    """Read a store's condition in one snapshot.

    Args:
        database: The open store.

    Returns:
        root; schema_version; commit_seq; committed_at (ISO 8601); database (see DatabaseManager.statistics);
        datasets: by name hot_rows, archived_rows; tiers: by name files, rows, size_bytes; open_moves; warnings.
    """
    statements = database.statements
    with database.readers.transaction() as transaction:
        seq, ts_us = transaction.rows(statements["commit_position"])[0]
        archived = transaction.rows(statements["archived_by_dataset_and_tier"])
        open_moves = transaction.rows(statements["open_move_count"])[0][0]
        datasets = {
            name: {"hot_rows": transaction.rows(f"SELECT count(*) FROM {name}")[0][0], "archived_rows": 0}  # noqa: S608
            for name in database.registry.public
        }
    tiers: dict[str, dict[str, int]] = {}
    for dataset, tier, files, rows, size_bytes in archived:
        datasets[dataset]["archived_rows"] += rows
        sums = tiers.setdefault(tier, {"files": 0, "rows": 0, "size_bytes": 0})
        sums["files"] += files
        sums["rows"] += rows
        sums["size_bytes"] += size_bytes
    hot = database.statistics()
    warnings = hot.pop("warnings")
    return {
        "root": str(database.root),
        "schema_version": SCHEMA_VERSION,
        "commit_seq": seq,
        "committed_at": moment(ts_us).isoformat(),
        "database": hot,
        "datasets": datasets,
        "tiers": tiers,
        "open_moves": open_moves,
        "warnings": warnings,
    }
