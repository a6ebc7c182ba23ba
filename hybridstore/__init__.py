"""Storage of a crypto trading bot: microsecond writes to SQLite, history in Parquet, one SQL question over both.

The names below are the public ones. Each is loaded when it is first used, so that ``import hybridstore`` costs a bot
nothing it does not need; duckdb, polars and pyarrow alone would take most of a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridstore.aio import TradingBotStorageSystem
    from hybridstore.backup.manager import BackupManager
    from hybridstore.backup.restore import RestoreResult
    from hybridstore.clock import Clock, ManualClock, SystemClock
    from hybridstore.config import BackupConfig, DatabaseConfig, RetentionPolicy
    from hybridstore.errors import (
        ArchiveCorrupt,
        ArchiveError,
        ArchiveUnreachable,
        BackupCorrupt,
        BackupError,
        ConfigError,
        Conflict,
        ExchangeError,
        ExchangeUnreachable,
        HybridStoreError,
        InvalidValue,
        MoveFailed,
        NotFound,
        NotRestorable,
        QueryError,
        QueryFailed,
        QueryRefused,
        QueryTimeout,
        SchemaMismatch,
        StorageFailure,
        StorageFull,
        StoreBusy,
        StoreClosed,
        StoreCorrupt,
        StoreError,
        StoreForked,
        StoreMoved,
        UnknownDataset,
    )
    from hybridstore.hot.async_subscription import AsyncSubscription
    from hybridstore.hot.balances import Balance
    from hybridstore.hot.database import DatabaseManager
    from hybridstore.hot.equity import EquitySnapshot
    from hybridstore.hot.feed_event import Event
    from hybridstore.hot.funding import FundingResult
    from hybridstore.hot.guard_report import GuardReport
    from hybridstore.hot.optimizer import QueryOptimizer
    from hybridstore.hot.position_rows import Position
    from hybridstore.hot.schema_manager import SchemaManager
    from hybridstore.hot.subscription import Subscription
    from hybridstore.hot.trade_rows import FillResult, Trade
    from hybridstore.integrations.bases import StorageBackedBalanceManager, StorageBackedPortfolioManager
    from hybridstore.integrations.bridge import StorageIntegrationBridge
    from hybridstore.integrations.exchange.report import SyncReport
    from hybridstore.integrations.integration import Integration
    from hybridstore.portfolio.summary import PortfolioSummary
    from hybridstore.retention.manager import DataRetentionManager
    from hybridstore.retention.progress import MoveReport
    from hybridstore.schema.dataset import Column, Dataset, Index, Tiering
    from hybridstore.schema.types import LogicalType
    from hybridstore.store import HybridStore

__all__ = [
    "ArchiveCorrupt",
    "ArchiveError",
    "ArchiveUnreachable",
    "AsyncSubscription",
    "BackupConfig",
    "BackupCorrupt",
    "BackupError",
    "BackupManager",
    "Balance",
    "Clock",
    "Column",
    "ConfigError",
    "Conflict",
    "DataRetentionManager",
    "DatabaseConfig",
    "DatabaseManager",
    "Dataset",
    "EquitySnapshot",
    "Event",
    "ExchangeError",
    "ExchangeUnreachable",
    "FillResult",
    "FundingResult",
    "GuardReport",
    "HybridStore",
    "HybridStoreError",
    "Index",
    "Integration",
    "InvalidValue",
    "LogicalType",
    "ManualClock",
    "MoveFailed",
    "MoveReport",
    "NotFound",
    "NotRestorable",
    "PortfolioSummary",
    "Position",
    "QueryError",
    "QueryFailed",
    "QueryOptimizer",
    "QueryRefused",
    "QueryTimeout",
    "RestoreResult",
    "RetentionPolicy",
    "SchemaManager",
    "SchemaMismatch",
    "StorageBackedBalanceManager",
    "StorageBackedPortfolioManager",
    "StorageFailure",
    "StorageFull",
    "StorageIntegrationBridge",
    "StoreBusy",
    "StoreClosed",
    "StoreCorrupt",
    "StoreError",
    "StoreForked",
    "StoreMoved",
    "Subscription",
    "SyncReport",
    "SystemClock",
    "Tiering",
    "Trade",
    "TradingBotStorageSystem",
    "UnknownDataset",
]

_ROOMS = {
    "aio": "TradingBotStorageSystem",
    "backup.manager": "BackupManager",
    "backup.restore": "RestoreResult",
    "clock": "Clock ManualClock SystemClock",
    "config": "BackupConfig DatabaseConfig RetentionPolicy",
    "errors": (
        "ArchiveCorrupt ArchiveError ArchiveUnreachable BackupCorrupt BackupError ConfigError Conflict "
        "ExchangeError ExchangeUnreachable HybridStoreError InvalidValue MoveFailed NotFound NotRestorable QueryError "
        "QueryFailed QueryRefused QueryTimeout SchemaMismatch StorageFailure StorageFull "
        "StoreBusy StoreClosed StoreCorrupt StoreError StoreForked StoreMoved UnknownDataset"
    ),
    "hot.async_subscription": "AsyncSubscription",
    "hot.balances": "Balance",
    "hot.database": "DatabaseManager",
    "hot.feed_event": "Event",
    "hot.equity": "EquitySnapshot",
    "hot.funding": "FundingResult",
    "hot.guard_report": "GuardReport",
    "hot.optimizer": "QueryOptimizer",
    "hot.position_rows": "Position",
    "hot.schema_manager": "SchemaManager",
    "hot.subscription": "Subscription",
    "hot.trade_rows": "FillResult Trade",
    "integrations.bases": "StorageBackedBalanceManager StorageBackedPortfolioManager",
    "integrations.bridge": "StorageIntegrationBridge",
    "integrations.exchange.report": "SyncReport",
    "integrations.integration": "Integration",
    "portfolio.summary": "PortfolioSummary",
    "retention.manager": "DataRetentionManager",
    "retention.progress": "MoveReport",
    "schema.dataset": "Column Dataset Index Tiering",
    "schema.types": "LogicalType",
    "store": "HybridStore",
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names.split()}


if not TYPE_CHECKING:  # a type checker reads the imports above, and so still finds a misspelt name

    def __getattr__(name: str) -> object:
        """Load a public name from the room that defines it."""
        room = _ROOM_OF.get(name)
        if room is None:
            raise AttributeError(f"module 'hybridstore' has no attribute {name!r}")
        value: object = getattr(import_module(f"hybridstore.{room}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return __all__
