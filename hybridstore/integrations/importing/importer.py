"""``store.importer``: takes the history of another program, or a file of rows, into the books."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridstore.errors import InvalidValue
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT
from hybridstore.hot.foreign_rows import ForeignRow, read_foreign
from hybridstore.integrations.importing import freqtrade as of_freqtrade
from hybridstore.integrations.importing import hummingbot as of_hummingbot
from hybridstore.integrations.importing.freqtrade_profit import check_of
from hybridstore.integrations.importing.mapping import Mapped, guess_mapping, read_mapping
from hybridstore.integrations.importing.recording import Progress, record
from hybridstore.integrations.importing.report import ImportReport, Loss, ProfitCheck
from hybridstore.integrations.importing.rows_of_file import header_of, read_rows
from hybridstore.named_sql import load_named_sql
from hybridstore.portfolio.money import add, subtract
from hybridstore.schema.types import check_name

if TYPE_CHECKING:
    from hybridstore.parts import StoreParts


def _silent(_rows: int) -> None:
    """Tell nobody."""


class Importer:
    """Imports histories; every call can be repeated, and goes on where a killed one stopped: known rows change nothing.

    Calls take as long as there are rows; on an event loop give them to ``asyncio.to_thread``.

    Args:
        store: The open store.
    """

    def __init__(self, store: StoreParts) -> None:
        self._store = store

    def freqtrade(
        self,
        path: Path | str,
        *,
        account: str = DEFAULT_ACCOUNT,
        bot: str | None = None,
        dry_run: bool = False,
        on_progress: Progress = _silent,
    ) -> ImportReport:
        """Import a database of freqtrade: orders, fills, funding, and for each of its trades a position.

        Args:
            path: tradesv3.sqlite, or any copy; freqtrade may be using it in another process.
            account: Whose books it goes into.
            bot: The bot that traded.
            dry_run: Only check and count.
            on_progress: Called with how many rows were done since the last call.

        Returns:
            Counts, what freqtrade had lost, and for each closed trade whether its profit came out again.

        Raises:
            InvalidValue: It is no database of freqtrade.
            NotFound: There is no such file.
            StorageFailure: It cannot be read.
        """
        tags = _tags(account, bot)
        rows = _read(Path(path), "freqtrade.sql", needed="trades")
        trades = of_freqtrade.trades_of(rows, account)
        items = of_freqtrade.items_of(trades, tags)
        name = f"freqtrade {account} {Path(path).name}"
        done = record(self._store, name, items, on_progress, is_dry_run=dry_run)
        profits = tuple(
            self._profit(trade, is_dry_run=dry_run) for trade in trades if not trade.row.get("is_open")
        )
        losses = tuple(of_freqtrade.losses_of(trades, rows))
        return ImportReport(
            "freqtrade", str(path), account, dry_run, done.kinds, tuple(done.refused), losses, profits
        )

    def _profit(self, trade: of_freqtrade.FtTrade, *, is_dry_run: bool) -> ProfitCheck:
        position = None if is_dry_run else self._store.get_position(trade.position_id)
        booked: Decimal | None = None
        if position is not None:
            booked = add(subtract(position.realized_pnl, position.fees), position.funding)
        return check_of(trade, booked)

    def hummingbot(
        self,
        path: Path | str,
        *,
        account: str = DEFAULT_ACCOUNT,
        bot: str | None = None,
        dry_run: bool = False,
        on_progress: Progress = _silent,
    ) -> ImportReport:
        """Import a database of hummingbot: orders, fills and funding.

        Args:
            path: The .sqlite file of a configuration, or any copy.
            account: Whose books it goes into.
            bot: The bot that traded.
            dry_run: Only check and count.
            on_progress: Called with how many rows were done since the last call.

        Returns:
            Counts, and what hummingbot cut off.

        Raises:
            InvalidValue: It is no database of hummingbot.
            NotFound: There is no such file.
            StorageFailure: It cannot be read.
        """
        tags = _tags(account, bot)
        rows = _read(Path(path), "hummingbot.sql", needed="tradefill")
        items = of_hummingbot.items_of(rows, tags)
        name = f"hummingbot {account} {Path(path).name}"
        done = record(self._store, name, items, on_progress, is_dry_run=dry_run)
        losses = tuple(of_hummingbot.losses_of(rows))
        return ImportReport(
            "hummingbot", str(path), account, dry_run, done.kinds, tuple(done.refused), losses
        )

    def rows(
        self,
        path: Path | str,
        mapping: Path | str | Mapping[str, Any] | None = None,
        *,
        dataset: str | None = None,
        account: str = DEFAULT_ACCOUNT,
        dry_run: bool = False,
        on_progress: Progress = _silent,
    ) -> ImportReport:
        """Import a file of rows: CSV, JSON, JSON lines or Parquet, by its suffix.

        Args:
            path: The file.
            mapping: A TOML file, or what it would hold, that says which column is what; None guesses by the names of
                the columns.
            dataset: What the rows are, where there is no mapping: trades, orders, ledger, funding, balances, candles,
                market_trades, or a dataset of your own.
            account: Whose books they go into, where neither row nor mapping says so.
            dry_run: Only check and count.
            on_progress: Called with how many rows were done since the last call.

        Returns:
            Counts, and the rows that were refused, each with its number in the file.

        Raises:
            InvalidValue: The mapping does not fit the file, or cannot be guessed.
            NotFound: There is no such file.
        """
        check_name(account, "account")
        mapped = self.mapping(path, mapping, dataset=dataset)
        found: list[Loss] = []
        items = mapped.items(read_rows(Path(path)), account, found)
        name = f"{mapped.dataset} {account} {Path(path).name}"
        done = record(self._store, name, items, on_progress, is_dry_run=dry_run)
        refused = (*mapped.refused, *done.refused)
        return ImportReport(mapped.dataset, str(path), account, dry_run, done.kinds, refused, tuple(found))

    def mapping(
        self,
        path: Path | str,
        mapping: Path | str | Mapping[str, Any] | None = None,
        *,
        dataset: str | None = None,
    ) -> Mapped:
        """Say how the columns of a file would be taken.

        Args:
            path: The file.
            mapping: See :meth:`rows`.
            dataset: See :meth:`rows`.

        Returns:
            The mapping; its ``toml`` is what a mapping file would hold.

        Raises:
            InvalidValue: The mapping does not fit the file, or cannot be guessed.
            NotFound: There is no such file.
        """
        header = header_of(Path(path))
        registry = self._store.database.registry
        if mapping is None:
            return guess_mapping(header, dataset, registry)
        return read_mapping(mapping, header, dataset, registry)


def _tags(account: str, bot: str | None) -> dict[str, Any]:
    return {"account": check_name(account, "account"), "bot": bot}


def _read(path: Path, questions: str, *, needed: str) -> dict[str, list[ForeignRow]]:
    statements = load_named_sql(__package__, questions)
    rows = read_foreign(path, statements)
    program = questions.removesuffix(".sql")
    if not any(rows.values()):
        raise InvalidValue(
            f"{path.name} holds no {needed} of {program}",
            path=str(path),
            hint=f"name {program}'s own database",
        )
    return rows
