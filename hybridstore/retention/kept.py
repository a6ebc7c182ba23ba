"""What is kept of history now: by dataset and tier, what is under way, and what lies in an object store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hybridstore.archive.leases import live_leases
from hybridstore.archive.manifest import ArchiveFile
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention.steps import Move
from hybridstore.schema.types import moment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def kept(database: DatabaseManager) -> dict[str, Any]:
    """Return what is kept.

    Args:
        database: The open store.

    Returns:
        archived, tiers, open_moves, replaced_files, offloaded, leases and audit_entries as
        ``DataRetentionManager.status`` describes them.
    """
    statements = database.statements
    with database.readers.transaction() as transaction:
        moves = [Move(*row) for row in transaction.rows(statements["open_moves"])]
        tiers = transaction.rows(statements["archived_by_dataset_and_tier"])
        last = transaction.rows(statements["last_audit_entry"])
        replaced = transaction.rows(statements["replaced_files_left"])[0][0]
        elsewhere = transaction.rows(statements["offloaded_files"])
    archived: dict[str, dict[str, int]] = {}
    by_tier: dict[str, dict[str, dict[str, int]]] = {}
    for dataset, tier, files, rows, size_bytes in tiers:
        by_tier.setdefault(dataset, {})[tier] = {"files": files, "rows": rows, "size_bytes": size_bytes}
        sums = archived.setdefault(dataset, {"files": 0, "rows": 0, "size_bytes": 0})
        for name, value in (("files", files), ("rows", rows), ("size_bytes", size_bytes)):
            sums[name] += value
    return {
        "open_moves": [
            {
                "move_id": move.move_id,
                "dataset": move.dataset,
                "day": f"{moment(move.start_us):%Y-%m-%d}",
                "state": move.state,
            }
            for move in moves
        ],
        "archived": archived,
        "tiers": by_tier,
        "offloaded": _offloaded(database.root, (ArchiveFile.from_row(row) for row in elsewhere)),
        "replaced_files": replaced,
        "leases": [lease.to_dict() for lease in live_leases(database.root)],
        "audit_entries": last[0][0] if last else 0,
    }


def _offloaded(root: Path, files: Iterable[ArchiveFile]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for file in files:
        if file.replaced_seq is None and file.url is not None:
            sums = found.setdefault(file.url, {"files": 0, "size_bytes": 0, "here_bytes": 0})
            sums["files"] += 1
            sums["size_bytes"] += file.size_bytes
            sums["here_bytes"] += file.size_bytes if (root / file.path).exists() else 0
    return found
