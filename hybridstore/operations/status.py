"""The condition of a store as one dict, for people (``hybridstore status``) and programs (``--json``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from hybridstore.backup.repository import Repository
from hybridstore.backup.status import backup_status
from hybridstore.clock import DAY_US
from hybridstore.config import BackupConfig
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.guard_report import GuardReport
from hybridstore.hot.schema_manager import adopt_new_datasets
from hybridstore.operations.condition import maintenance_status, maintenance_warnings
from hybridstore.schema.migrations import SCHEMA_VERSION
from hybridstore.schema.sqlite import count_all
from hybridstore.schema.types import moment


def collect_status(
    database: DatabaseManager,
    maintenance: dict[str, Any] | None = None,
    backup: BackupConfig | None = None,
) -> dict[str, Any]:
    """Read a store's condition in one snapshot.

    Args:
        database: The open store.
        maintenance: How its maintenance is doing, as its supervisor says; None means to look from outside.
        backup: Settings of its backups.

    Returns:
        root; schema_version; commit_seq; committed_at (ISO 8601); database (see DatabaseManager.statistics);
        query_optimization: cache_hit_rate (percent), cache_hits, cache_misses, cache_entries, cache_enabled; datasets:
        by name hot_rows, archived_rows; tiers: by name files, rows, size_bytes; open_moves; backups: see
        :func:`hybridstore.backup.status.backup_status`; equity: the latest
        snapshots, each account, base_currency, taken_at (ISO 8601), equity (text), unpriced (what it lacks for want of
        a price); maintenance: state
        (running, standby, starting, failed, off), pid, owner, last_report and more, see
        :mod:`hybridstore.operations.condition`; guards: dicts of guard, state, message, remedy; warnings.
    """
    adopt_new_datasets(database)
    statements = database.statements
    with database.readers.transaction() as transaction:
        seq, ts_us = transaction.rows(statements["commit_position"])[0]
        archived = transaction.rows(statements["archived_by_dataset_and_tier"])
        superseded = {
            dataset: transaction.rows(statements["superseded_count"], (dataset,))[0][0]
            for dataset in {row[0] for row in archived}
        }
        equity = [_equity(*row) for row in transaction.rows(statements["accounts_with_equity"])]
        open_moves, first_claimed_us = transaction.rows(statements["open_moves_in_all"])[0]
        datasets = {
            name: {"hot_rows": transaction.rows(count_all(name))[0][0], "archived_rows": 0}
            for name in database.registry.public
        }
    tiers: dict[str, dict[str, int]] = {}
    for dataset, tier, files, rows, size_bytes in archived:
        counts = datasets.setdefault(dataset, {"hot_rows": 0, "archived_rows": 0})
        counts["archived_rows"] += rows
        sums = tiers.setdefault(tier, {"files": 0, "rows": 0, "size_bytes": 0})
        sums["files"] += files
        sums["rows"] += rows
        sums["size_bytes"] += size_bytes
    for dataset, rows in superseded.items():
        datasets[dataset]["archived_rows"] -= rows
    hot = database.statistics()
    maintenance = maintenance or maintenance_status(database.root)
    moves = _moves_report(open_moves, first_claimed_us, database.clock.now_us())
    guards = [*hot.pop("guards"), moves.to_dict()]
    told = [moves.sentence()] if moves.state != "ok" else []
    told += _gaps(equity)
    warnings = hot.pop("warnings") + told + maintenance_warnings(maintenance)
    return {
        "root": str(database.root),
        "schema_version": SCHEMA_VERSION,
        "commit_seq": seq,
        "committed_at": moment(ts_us).isoformat(),
        "database": hot,
        "query_optimization": _query_optimization(database),
        "datasets": datasets,
        "tiers": tiers,
        "open_moves": open_moves,
        "backups": backup_status(
            Repository((backup or BackupConfig()).base(database.root)), database.clock.now_us(), seq
        ),
        "equity": equity,
        "maintenance": maintenance,
        "guards": guards,
        "warnings": warnings,
    }


def _moves_report(count: int, first_claimed_us: int | None, now_us: int) -> GuardReport:
    """A claim that stays keeps a day from being written late and its rows in the hot store."""
    if first_claimed_us is None or now_us - first_claimed_us <= DAY_US:
        return GuardReport("moves", "ok", f"{count} tier moves are open, none for more than a day")
    return GuardReport(
        "moves",
        "warning",
        f"{count} tier moves are open, the first since {moment(first_claimed_us).isoformat(timespec='seconds')}",
        "finish them with: hybridstore run --once, and see why the maintenance did not",
    )


def _equity(
    account: str, base_currency: str, taken_us: int, equity: str, unpriced: str | None
) -> dict[str, Any]:
    return {
        "account": account,
        "base_currency": base_currency,
        "taken_at": moment(taken_us).isoformat(),
        "equity": equity,
        "unpriced": [] if unpriced is None else msgspec.json.decode(unpriced),
    }


def equity_gaps(rows: Iterable[Sequence[Any]]) -> list[str]:
    """Say of which accounts the latest equity lacks a price.

    Args:
        rows: What ``accounts_with_equity`` reads.

    Returns:
        A sentence of each.
    """
    return _gaps(_equity(*row) for row in rows)


def _gaps(equity: Iterable[dict[str, Any]]) -> list[str]:
    return [_lacks(latest) for latest in equity if latest["unpriced"]]


def _lacks(latest: dict[str, Any]) -> str:
    names, base_currency = ", ".join(map(str, latest["unpriced"])), latest["base_currency"]
    return (
        f"the equity of {latest['account']} lacks what has no price in {base_currency}: {names}; its snapshots count "
        f"for no hour and no day until a mark is recorded (of what is worthless, 0.000000000000000001)"
    )


def _query_optimization(database: DatabaseManager) -> dict[str, Any]:
    kept = database.cache.statistics()
    return {
        "cache_hit_rate": kept["hit_rate"],
        "cache_hits": kept["hits"],
        "cache_misses": kept["misses"],
        "cache_entries": kept["entries"],
        "cache_enabled": database.config.enable_query_cache,
    }
