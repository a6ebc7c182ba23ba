"""Settings: an argument wins over the environment, the environment over the TOML file, the file over the default.

The file is ``<root>/hybridstore.toml`` or what ``HYBRIDSTORE_CONFIG`` names, with the tables ``[database]``,
``[backup]``, ``[maintenance]``, ``[portfolio]``, ``[analytics]``, ``[report]``, ``[metrics]`` and ``[[retention]]``.
Every database setting can also be given as ``HYBRIDSTORE_<NAME>``, for example ``HYBRIDSTORE_CACHE_SIZE_MB=256``;
``HYBRIDSTORE_MAINTENANCE`` is the mode of the maintenance. A key that is not known is an error, not a comment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import msgspec

from hybridstore.errors import ConfigError
from hybridstore.live_settings import LiveSettings, check_least, check_types, check_url
from hybridstore.sections import (
    AnalyticsConfig,
    MaintenanceConfig,
    MaintenanceMode,
    MetricsConfig,
    PortfolioConfig,
    ReportConfig,
)

Durability = Literal["full", "normal"]
"""What an acknowledgement survives: ``full`` a power cut, ``normal`` the death of the process."""

DATABASE_NAME = "trading_bot.db"
CONFIG_NAME = "hybridstore.toml"
BACKUPS_NAME = "backups"
ENVIRONMENT_PREFIX = "HYBRIDSTORE_"
_MAINTENANCE_VARIABLE = "HYBRIDSTORE_MAINTENANCE"
LIVE_SETTINGS = frozenset(
    {
        "max_connections",
        "cache_size_mb",
        "enable_memory_mapping",
        "enable_query_cache",
        "cache_timeout_seconds",
        "balance_query_timeout",
        "position_query_timeout",
        "reader_max_age_s",
        "disk_low_mb",
    }
)
"""Database settings that a store follows when they are assigned; the others are decided when it is made."""
_NOT_SETTINGS = {
    "HYBRIDSTORE_ROOT",
    "HYBRIDSTORE_CONFIG",
    _MAINTENANCE_VARIABLE,
    "HYBRIDSTORE_TEST_DATA",
    "HYBRIDSTORE_REQUESTED_SYSTEM",
}


def default_root() -> Path:
    """Return the folder a store lives in when nobody says otherwise.

    Returns:
        ``HYBRIDSTORE_ROOT``; else ``D:/trading_data`` on a Windows machine that has a D: drive; else the platform's
        folder for user data.
    """
    if override := os.environ.get("HYBRIDSTORE_ROOT"):
        return Path(override)
    if sys.platform == "win32" and Path("D:/").exists():
        return Path("D:/trading_data")
    import platformdirs

    return Path(platformdirs.user_data_dir("hybridstore", appauthor=False))


class DatabaseConfig(LiveSettings, kw_only=True, forbid_unknown_fields=True):
    """Settings of the hot store. Each can be assigned; a value that cannot work is refused there and then.

    A store that was made with them follows the assignments of :data:`LIVE_SETTINGS`, within a tenth of a second. An
    assignment of any other setting is refused while such a store exists, because it would have no effect.

    Attributes:
        database_path: The hot database; its folder is the store's root. None means ``trading_bot.db`` under
            :func:`default_root`.
        max_connections: The most reader connections open at once.
        cache_size_mb: SQLite page cache, MiB a reader; the writer takes at most 16 of them.
        enable_wal_mode: Write-ahead log; readers and the writer need it to work at once, so it cannot be turned off.
        enable_memory_mapping: Map the database into memory on scanning readers (never on the writer, never for
            point reads: an I/O error under a mapping kills the process).
        enable_query_cache: Keep results of repeated queries.
        cache_timeout_seconds: The longest a cached result is used.
        balance_query_timeout: Deadline of a balance query, ms.
        position_query_timeout: Deadline of a position query, ms.
        durability: ``full``: an acknowledged write survives a power cut. ``normal``: it survives the death of the
            process; a power cut may lose the last moments, never consistency.
        page_checksums: Checksum every page (``cksumvfs``). Decided when the store is created.
        busy_timeout_ms: How long a writer waits for another process's transaction.
        reader_max_age_s: The longest a read transaction may stay open before it is closed for letting the
            write-ahead log grow.
        wal_checkpoint_mb: From this size on the write-ahead log is copied back into the database.
        wal_limit_mb: From this size on the log is reported as too large and waited down.
        disk_low_mb: With less room on the store's device, MiB, a warning is due; with less than 64, an alarm.
        reserve_mb: Size of the reserve file that is given up to keep working when the disk is full.
        vfs: Name of an SQLite VFS to open the database with (None: the platform's).
        enable_logs: Write transactions.log and performance.log under ``<root>/logs``.
        slow_query_ms: A read, query or write that takes as long, ms, is written to performance.log.
        log_size_mb: Size at which a log is set aside and another one begun, MiB.
        log_files: Files kept of each log, the current one included.
        archive_url: Where cold and frozen files go, for example ``s3://bucket/prefix``; the folder of the root is a
            cache of them then. None keeps all files there.
        archive_cache_mb: What of them stays in that folder, MiB, the last used.
    """

    live: ClassVar[frozenset[str]] = LIVE_SETTINGS

    database_path: str | None = None
    max_connections: int = 20
    cache_size_mb: int = 128
    enable_wal_mode: bool = True
    enable_memory_mapping: bool = True
    enable_query_cache: bool = True
    cache_timeout_seconds: int = 300
    balance_query_timeout: int = 50
    position_query_timeout: int = 100
    durability: Durability = "full"
    page_checksums: bool = False
    busy_timeout_ms: int = 10_000
    reader_max_age_s: float = 60.0
    wal_checkpoint_mb: int = 4
    wal_limit_mb: int = 64
    disk_low_mb: int = 1024
    reserve_mb: int = 1
    vfs: str | None = None
    enable_logs: bool = True
    slow_query_ms: float = 50.0
    log_size_mb: float = 16.0
    log_files: int = 5
    archive_url: str | None = None
    archive_cache_mb: int = 10_240

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        path: object = self.database_path
        if isinstance(path, os.PathLike):
            msgspec.structs.force_setattr(self, "database_path", os.fspath(path))
        check_types(self)
        if not self.enable_wal_mode:
            raise ConfigError(
                "enable_wal_mode=False", hint="readers and the writer work at once only with WAL; leave it on"
            )
        check_url("archive_url", self.archive_url)
        least = {
            "max_connections": 1,
            "cache_size_mb": 1,
            "cache_timeout_seconds": 0,
            "balance_query_timeout": 1,
            "position_query_timeout": 1,
            "wal_checkpoint_mb": 1,
            "wal_limit_mb": 1,
            "disk_low_mb": 0,
            "reserve_mb": 0,
            "busy_timeout_ms": 1,
            "reader_max_age_s": 0.001,
            "slow_query_ms": 0,
            "log_size_mb": 0.001,
            "log_files": 2,
            "archive_cache_mb": 0,
        }
        check_least(self, least)

    def taken_by_store(self, path: Path) -> Self:
        """Return the settings for a store to keep.

        Args:
            path: The store's hot database.

        Returns:
            A copy with that path, which follows what is assigned to these settings later.
        """
        return self.copy_that_follows(database_path=str(path))

    @property
    def path(self) -> Path:
        """The hot database's path."""
        return Path(self.database_path) if self.database_path else default_root() / DATABASE_NAME

    @property
    def root(self) -> Path:
        """The store's folder."""
        return self.path.parent


class BackupConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Settings of backups.

    Attributes:
        backup_base_path: Where backups go; None means ``<root>/backups``.
        full_backup_interval_hours: Hours between full backups.
        incremental_backup_interval_hours: Hours after which shipped commits become a file of their own at the latest;
            they are shipped at once.
        keep_full_backups_days: Any moment of this many last days can be restored.
        enable_compression: Compress backups.
        verify_backups: Prove each backup after it was written.
        mode: ``auto``: whoever maintains the store backs it up, too. ``off``: nobody does, unless asked.
        poll_interval_ms: Milliseconds between two looks at what was committed: no more than that can be lost with the
            store's disk.
        segment_interval_s: Seconds after which what was shipped becomes a file of its own.
        mirror_url: URL below which every backup is copied, too, for example ``s3://bucket/prefix``; None: nowhere.
    """

    backup_base_path: str | None = None
    full_backup_interval_hours: float = 24
    incremental_backup_interval_hours: float = 6
    keep_full_backups_days: int = 30
    enable_compression: bool = True
    verify_backups: bool = True
    mode: MaintenanceMode = "auto"
    poll_interval_ms: float = 100.0
    segment_interval_s: float = 60.0
    mirror_url: str | None = None

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        check_types(self)
        check_url("mirror_url", self.mirror_url)
        hour = {"full_backup_interval_hours": 0.001, "incremental_backup_interval_hours": 0.001}
        check_least(
            self, {**hour, "keep_full_backups_days": 1, "poll_interval_ms": 1, "segment_interval_s": 0.01}
        )

    def base(self, root: Path) -> Path:
        """Return the folder of a store's backups.

        Args:
            root: The store's folder.
        """
        return Path(self.backup_base_path) if self.backup_base_path else root / BACKUPS_NAME


class RetentionPolicy(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How long the rows of one dataset stay in each tier. Ages are whole UTC days since the row's own time.

    Attributes:
        name: The policy's name.
        table_name: The dataset it is for.
        hot_retention_days: Days in the hot store.
        warm_retention_days: Age at which warm files become cold.
        cold_retention_days: Age at which cold files become frozen.
        frozen_retention_years: Age at which rows are deleted.
        max_hot_records: Rows the hot store keeps at the most; the oldest leave early, into archives/hot. 0: any number.
        enable_compression: Compress archives, with zstd, the older the harder.
    """

    name: str
    table_name: str
    hot_retention_days: int = 7
    warm_retention_days: int = 30
    cold_retention_days: int = 365
    frozen_retention_years: int = 7
    max_hot_records: int = 500_000
    enable_compression: bool = True

    def __post_init__(self) -> None:
        """Refuse tiers that are not in order of age."""
        check_types(self)
        check_least(self, {"max_hot_records": 0})
        ages = (self.hot_retention_days, self.warm_retention_days, self.cold_retention_days)
        if not 0 < ages[0] <= ages[1] <= ages[2] <= self.frozen_retention_years * 365:
            raise ConfigError(
                f"retention policy {self.name!r}: hot {ages[0]} d, warm {ages[1]} d, cold {ages[2]} d, "
                f"frozen {self.frozen_retention_years} y",
                hint="each tier must reach at least as far back as the one before, hot at least 1 day",
            )


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a configuration file may hold.

    Attributes:
        database: The hot store.
        backup: Backups.
        retention: Policies that replace a dataset's default.
        maintenance: The maintenance process.
        portfolio: The portfolio's figures.
        analytics: Questions over all tiers.
        report: Reports that the maintenance process writes.
        metrics: Where the maintenance process tells how it goes.
    """

    database: DatabaseConfig = msgspec.field(default_factory=DatabaseConfig)
    backup: BackupConfig = msgspec.field(default_factory=BackupConfig)
    retention: tuple[RetentionPolicy, ...] = ()
    maintenance: MaintenanceConfig = msgspec.field(default_factory=MaintenanceConfig)
    portfolio: PortfolioConfig = msgspec.field(default_factory=PortfolioConfig)
    analytics: AnalyticsConfig = msgspec.field(default_factory=AnalyticsConfig)
    report: ReportConfig = msgspec.field(default_factory=ReportConfig)
    metrics: MetricsConfig = msgspec.field(default_factory=MetricsConfig)


def load_settings(root: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the configuration of a store.

    Args:
        root: The store's folder; None means :func:`default_root`.
        environment: The environment to read; None means the process's.

    Returns:
        The settings, with ``database.database_path`` filled in.

    Raises:
        ConfigError: The file or a variable holds an unknown key or a value that does not fit.
    """
    environment = os.environ if environment is None else environment
    folder = root or default_root()
    path = Path(environment.get("HYBRIDSTORE_CONFIG", folder / CONFIG_NAME))
    content: dict[str, Any] = {}
    if path.is_file():
        content = _decode_toml(path)
    elif "HYBRIDSTORE_CONFIG" in environment:
        raise ConfigError("HYBRIDSTORE_CONFIG names a file that does not exist", path=str(path))
    database = {**_table(content, "database", path), **_from_environment(environment)}
    if root is not None or database.get("database_path") is None:
        database["database_path"] = str(folder / DATABASE_NAME)
    maintenance = _table(content, "maintenance", path)
    if mode := environment.get(_MAINTENANCE_VARIABLE):
        maintenance = {**maintenance, "mode": mode}
    try:
        found = {**content, "database": database, "maintenance": maintenance}
        return msgspec.convert(found, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(
            str(error), path=str(path), hint="see docs/operating.md for every setting"
        ) from error


def _table(content: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{name}={table!r}", path=str(path), hint=f"write its settings below [{name}]")
    return table


def _decode_toml(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not a TOML file: {error}", path=str(path)) from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    known = {f"{ENVIRONMENT_PREFIX}{field.upper()}": field for field in DatabaseConfig.__struct_fields__}
    found: dict[str, str] = {}
    for variable, value in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in _NOT_SETTINGS:
            continue
        if variable not in known:
            raise ConfigError(
                f"the environment variable {variable} is no setting", hint=f"known: {', '.join(known)}"
            )
        found[known[variable]] = value
    return found
