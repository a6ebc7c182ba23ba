"""One store as one of several bots sees it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Iterable
from typing import Any, Generic, TypeVar

from hybridstore.hot.balance_updates import Money

Store = TypeVar("Store")


class BotView(Generic[Store]):
    """The calls of a store with a bot's name, account and strategy filled in.

    Of a store on an event loop the calls return what is awaited, of any other the result. Balances are the account's:
    bots that trade on one account see the same. Positions and orders are the bot's own: a fill of one bot never
    changes another's position, also on the same account and market.

    Args:
        store: The store.
        bot: The bot's name.
        account: The account it trades on.
        strategy: What it follows.

    Attributes:
        store: The store.
        bot: The bot's name.
        account: The account it trades on.
        strategy: What it follows, or None.
    """

    def __init__(self, store: Store, bot: str, account: str, strategy: str | None) -> None:
        self.store = store
        self.bot = bot
        self.account = account
        self.strategy = strategy
        self._calls: Any = store
        self._acts = {"account": account, "bot": bot, "strategy": strategy}

    def record_balance_update(
        self,
        asset: str,
        balance: Money | None,
        hold_trade: Money | None = 0,
        source: str = "",
        **details: Any,
    ) -> Any:
        """Record a balance of the bot's account.

        Args:
            asset: The asset.
            balance: Total held, in units of the asset.
            hold_trade: Held back for open orders.
            source: Where the figure came from.
            **details: See :meth:`hybridstore.hot.desk.Desk.record_balance_update`.

        Returns:
            The balance as recorded.
        """
        details = {"account": self.account, **details}
        return self._calls.record_balance_update(asset, balance, hold_trade, source, **details)

    def batch_update_balances(self, rows: Iterable[object], **details: Any) -> Any:
        """Record many balances of the bot's account in one transaction.

        Args:
            rows: See :meth:`hybridstore.hot.desk.Desk.batch_update_balances`.
            **details: durability.

        Returns:
            How many were recorded.
        """
        return self._calls.batch_update_balances(rows, account=self.account, **details)

    def get_latest_balance(self, asset: str) -> Any:
        """Return the latest balance of an asset on the bot's account.

        Args:
            asset: The asset.

        Returns:
            The balance, or None.
        """
        return self._calls.get_latest_balance(asset, self.account)

    def get_all_balances(self) -> Any:
        """Return the latest balance of every asset on the bot's account.

        Returns:
            Balances by asset.
        """
        return self._calls.get_all_balances(self.account)

    def record_fill(self, symbol: str, side: str, price: Money, amount: Money, **details: Any) -> Any:
        """Record one of the bot's fills with its effect on the bot's position.

        Args:
            symbol: The market.
            side: buy or sell.
            price: In quote.
            amount: Units of base, or contracts.
            **details: See :meth:`hybridstore.hot.desk.Desk.record_fill`.

        Returns:
            The trade and the position.
        """
        return self._calls.record_fill(symbol, side, price, amount, **{**self._acts, **details})

    def record_funding(self, symbol: str, amount: Money, **details: Any) -> Any:
        """Record a funding payment on the bot's position.

        Args:
            symbol: The contract it was paid on.
            amount: Received (+) or paid (-).
            **details: See :meth:`hybridstore.hot.books_desk.BooksDesk.record_funding`.

        Returns:
            The entry's id and the position.
        """
        return self._calls.record_funding(symbol, amount, **{**self._acts, **details})

    def record_portfolio_snapshot(self, **details: Any) -> Any:
        """Value the bot's account and write it down.

        Args:
            **details: base_currency, taken_at, durability; see
                :meth:`hybridstore.hot.books_desk.BooksDesk.record_portfolio_snapshot`.

        Returns:
            The snapshot.
        """
        return self._calls.record_portfolio_snapshot(self.account, **details)

    def void_fill(self, symbol: str, trade_id: str, order_id: str | None = None, **details: Any) -> Any:
        """Take a fill of the bot's account back that never was.

        Args:
            symbol: Its market.
            trade_id: Its id.
            order_id: Its order; None where it was told without one.
            **details: durability.

        Returns:
            The fill as it stands now, with the position that was amended.
        """
        return self._calls.void_fill(symbol, trade_id, order_id, self.account, **details)

    def create_position(
        self, position_id: str, symbol: str, side: str, amount: Money, entry_price: Money, **details: Any
    ) -> Any:
        """Open a position of the bot by hand.

        Args:
            position_id: Its id, unique in the store.
            symbol: Its market.
            side: LONG or SHORT.
            amount: Units of base, or contracts.
            entry_price: In quote.
            **details: See :meth:`hybridstore.hot.desk.Desk.create_position`.

        Returns:
            The position.
        """
        details = {**self._acts, **details}
        return self._calls.create_position(position_id, symbol, side, amount, entry_price, **details)

    def record_order(self, **columns: Any) -> Any:
        """Record a report of one of the bot's orders.

        Args:
            **columns: See :meth:`hybridstore.hot.market_desk.MarketDesk.record_order`.

        Returns:
            Whether the order's state changed.
        """
        return self._calls.record_order(**{**self._acts, **columns})

    def get_order(self, symbol: str, order_id: str) -> Any:
        """Return an order of the bot's account.

        Args:
            symbol: Its market.
            order_id: The exchange's id.

        Returns:
            The order, or None.
        """
        return self._calls.get_order(symbol, order_id, self.account)

    def get_open_positions(self) -> Any:
        """Return the bot's open positions on its account.

        Returns:
            Positions in the order they were opened.
        """
        return self._own(self._calls.get_open_positions(self.account))

    def get_open_orders(self, symbol: str | None = None) -> Any:
        """Return the bot's open orders on its account.

        Args:
            symbol: Only those of this market; None means all.

        Returns:
            Orders in the order they were recorded.
        """
        return self._own(self._calls.get_open_orders(symbol, self.account))

    def scan(self, dataset: str, **bounds: Any) -> Any:
        """Read the bot's rows of a dataset over every tier as a polars LazyFrame.

        Args:
            dataset: Its name. Of one without a bot, as ``balance_history``, the account's rows are returned.
            **bounds: start, end, symbol; see :meth:`hybridstore.store.HybridStore.scan`.

        Returns:
            The rows.
        """
        scanned = self._calls.scan(dataset, account=self.account, **bounds)
        return _then(scanned, self._of_bot)

    def subscribe(self, datasets: Iterable[str] | str | None = None, **details: Any) -> Any:
        """Follow what is committed of the bot on its account.

        Args:
            datasets: Which; None means all that carry a bot.
            **details: token, symbol, from_start; see :meth:`hybridstore.store.HybridStore.subscribe`.

        Returns:
            The subscription.
        """
        return self._calls.subscribe(datasets, account=self.account, bot=self.bot, **details)

    def _of_bot(self, frame: Any) -> Any:
        return frame.filter(bot=self.bot) if "bot" in frame.collect_schema() else frame

    def _own(self, found: Any) -> Any:
        return _then(found, lambda rows: [row for row in rows if row.bot == self.bot])


def _then(value: Any, change: Any) -> Any:
    """Change a result now, or when it is awaited."""
    if not inspect.isawaitable(value):
        return change(value)

    async def wait(pending: Awaitable[Any]) -> Any:
        return change(await pending)

    return wait(value)
