"""Point reads of balances."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT
from hybridstore.hot.balances import Balance
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.reader import listed
from hybridstore.schema.types import check_name, moment

_ZERO = Decimal(0)


def decode_balance(row: tuple[Any, ...]) -> Balance:
    """Turn a row of ``balances`` into a record.

    Args:
        row: account, asset, balance, hold_trade, available, debt, told, source, updated_at, recorded_at.

    Returns:
        The record.
    """
    account, asset, balance, hold, available, debt, told, source, updated_us, recorded_us = row
    total = Decimal(balance)
    updated = moment(updated_us)
    return Balance(
        account,
        asset,
        total,
        _ZERO if hold == "0" else None if hold is None else Decimal(hold),
        total if available == balance else None if available is None else Decimal(available),
        None if debt is None else Decimal(debt),
        told,
        source,
        updated,
        updated if recorded_us == updated_us else moment(recorded_us),
    )


class BalanceReader:
    """Point reads of balances; they run inline, in any thread.

    Args:
        database: The open store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database
        self._config = database.config
        self._latest = database.statements["latest_balance"]
        self._all = database.statements["balances_of_account"]

    def latest(self, asset: str, account: str = DEFAULT_ACCOUNT) -> Balance | None:
        """Return the latest balance of an asset.

        Args:
            asset: The asset.
            account: Whose.

        Returns:
            The balance, or None where the asset was never recorded.

        Raises:
            QueryTimeout: It took longer than balance_query_timeout.
        """
        key = (account, asset)
        database = self._database
        rows = database.readers.rows(self._latest, key, self._config.balance_query_timeout)
        if rows:
            return database.cache.record(key, rows[0], decode_balance)
        check_name(asset, "asset")
        check_name(account, "account")
        return None

    def all(self, account: str = DEFAULT_ACCOUNT) -> list[Balance]:
        """Return the latest balance of every asset of an account.

        Args:
            account: Whose.

        Returns:
            Balances by asset.

        Raises:
            QueryTimeout: It took longer than balance_query_timeout.
        """
        return list(
            self._database.cache.result(("balances", account), ("balances",), lambda: self._load(account))
        )

    def _load(self, account: str) -> tuple[Balance, ...]:
        database = self._database
        rows = database.readers.rows(self._all, (account,), self._config.balance_query_timeout)
        part = database.cache.part
        return tuple([part((account, row[1]), row, decode_balance) for row in listed(rows)])
