"""Sections of the configuration beside those of the hot store, its retention and its backups."""

from __future__ import annotations

from typing import Literal

import msgspec

from hybridstore.errors import ConfigError
from hybridstore.live_settings import check_least, check_types

MaintenanceMode = Literal["auto", "off"]
"""Whether a store that is open starts and watches its maintenance process."""
DEFAULT_BASE_CURRENCY = "USDT"
_PORT_MAX = 65_535


class MaintenanceConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Settings of the maintenance process.

    Attributes:
        mode: ``auto``: a bot's store starts the process and watches it. ``off``: somebody else runs it, or nobody.
        interval_s: Seconds between rounds.
        start_after_s: Seconds after a store was opened until it starts the process: a short script starts none.
        low_priority: Leave the processor to the bot where both want it.
    """

    mode: MaintenanceMode = "auto"
    interval_s: float = 3600.0
    start_after_s: float = 5.0
    low_priority: bool = True

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        check_types(self)
        check_least(self, {"interval_s": 0.01, "start_after_s": 0})


class PortfolioConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Settings of the portfolio's figures.

    Attributes:
        snapshot_interval_s: Seconds between the snapshots the maintenance process takes of each account's equity, on
            whole multiples of it since 1970 UTC; 0 takes none.
        base_currency: What they are priced in.
    """

    snapshot_interval_s: float = 60.0
    base_currency: str = DEFAULT_BASE_CURRENCY

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        check_types(self)
        if self.snapshot_interval_s:
            check_least(self, {"snapshot_interval_s": 0.01})
        if not self.base_currency or self.base_currency != self.base_currency.strip():
            raise ConfigError(
                f"base_currency={self.base_currency!r}", hint="give the name of an asset, for example 'USDT'"
            )


class AnalyticsConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Settings of questions over all tiers.

    Attributes:
        memory_limit_mb: What all questions of a process together may take, MiB; what is more goes to ``<root>/cache``.
        threads: Threads of a process that answer; 0: one a core.
        timeout_s: Seconds after which a question is given up; 0: never.
        result_cache_mb: What kept results may take under ``<root>/cache``, MiB; 0 keeps none.
        result_cache_from_ms: Milliseconds a question must take for its result to be kept.
    """

    memory_limit_mb: int = 2048
    threads: int = 0
    timeout_s: float = 300.0
    result_cache_mb: int = 256
    result_cache_from_ms: float = 100.0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        check_types(self)
        least = {"memory_limit_mb": 64, "threads": 0, "timeout_s": 0, "result_cache_mb": 0}
        check_least(self, {**least, "result_cache_from_ms": 0})


class MetricsConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Settings of the endpoint that tells how a store is doing; the process that maintains it answers there.

    Attributes:
        port: TCP port of ``/health`` and ``/metrics``; 0 answers nowhere.
        host: Address to listen on. What it tells is not secret to whoever can reach it: think before you change it.
    """

    port: int = 0
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        check_types(self)
        check_least(self, {"port": 0})
        if self.port > _PORT_MAX:
            raise ConfigError(f"port={self.port!r}", hint=f"it must be at most {_PORT_MAX}")
        if not self.host or self.host != self.host.strip():
            raise ConfigError(
                f"host={self.host!r}", hint="give an address of this machine, for example 127.0.0.1"
            )


class ReportConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Settings of the reports that the maintenance process writes.

    Attributes:
        interval_hours: Hours between two reports of an account; 0 writes none.
        benchmark: Symbol they compare with, of which there are candles; none where there are not. ``""``: nothing.
        risk_free: Risk-free rate a year: 0.02 is two per cent.
    """

    interval_hours: float = 24.0
    benchmark: str = "BTC/USDT"
    risk_free: float = 0.0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        check_types(self)
        check_least(self, {"interval_hours": 0, "risk_free": -0.99})
