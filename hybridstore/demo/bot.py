"""The demo's bot: watches the tape, trades on paper, and records everything through the hot path.

Market data is gathered for half a second of the market's time and recorded in one transaction, as a bot
fed by websockets would do. Every quote becomes the mark of its symbol, in order. A fill is recorded at once, with
its order and the balances the exchange reports after it.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from hybridstore.clock import SECOND_US, ManualClock
from hybridstore.demo.market import MarketTrade, Quote
from hybridstore.demo.paper import CASH, PaperExchange, PaperFill
from hybridstore.demo.strategy import MovingAverageStrategy, StrategyConfig
from hybridstore.portfolio.money import ZERO

if TYPE_CHECKING:
    from collections.abc import Callable

    from hybridstore.demo.latency import LatencyBook
    from hybridstore.demo.market import MarketEvent, MarketTape
    from hybridstore.store import HybridStore

ACCOUNT = "default"
OPENING_CASH = Decimal(100_000)
"""What the account starts with, in USDT."""
CLIP_VALUE = Decimal(1_000)
"""What one clip of the strategy is worth, in USDT."""
STRATEGY = "moving-average"
BOT = "demo"
_GATHER_US = SECOND_US // 2
_SNAPSHOT_US = SECOND_US


class PaperBot:
    """A bot at work on one store.

    Args:
        store: The open store; its clock is ``clock``.
        clock: Set to each event's time before it is handled.
        latencies: Where every call of the hot path is measured.

    Attributes:
        exchange: The paper account.
        fills: Fills so far.
        market_trades: Market trades recorded so far.
        marks: Quotes that became marks so far.
    """

    def __init__(self, store: HybridStore, clock: ManualClock, latencies: LatencyBook) -> None:
        self.exchange = PaperExchange(OPENING_CASH, CLIP_VALUE)
        self.fills = self.market_trades = self.marks = 0
        self._store, self._clock, self._measure = store, clock, latencies.measure
        perpetuals = frozenset(name for name, item in self.exchange.instruments.items() if item.perpetual)
        self._strategy = MovingAverageStrategy(StrategyConfig(), perpetuals)
        self._trades: list[tuple[object, ...]] = []
        self._quotes: list[dict[str, object]] = []
        self._gather_until_us = self._snapshot_due_us = 0

    def open_account(self) -> None:
        """Deposit the opening cash."""
        now_us = self._clock.now_us()
        deposit = (ACCOUNT, "opening", "deposit", CASH, OPENING_CASH, None, now_us)
        self._store.record_ledger_entries([deposit])
        self._store.record_balance_update(
            CASH, OPENING_CASH, source="paper", reason="deposit", changed_at=now_us
        )
        self._take_snapshot()

    def replay(self, tape: MarketTape, progress: Callable[[int], None]) -> None:
        """Live through a tape and record all of it.

        Args:
            tape: The market.
            progress: Told how many events were handled since it was told before.
        """
        for events in tape.batches():
            for event in events:
                self._handle(event)
            progress(len(events))
        self._record_gathered()
        self._take_snapshot()

    def _handle(self, event: MarketEvent) -> None:
        if event.received_us >= self._gather_until_us:
            self._record_gathered()
            if event.received_us >= self._snapshot_due_us:
                self._take_snapshot()
                self._snapshot_due_us = event.received_us + _SNAPSHOT_US
            self._gather_until_us = event.received_us + _GATHER_US
        self._clock.set(event.received_us)
        if type(event) is MarketTrade:
            self._trades.append(
                (event.symbol, event.trade_id, event.price, event.amount, event.side, event.traded_us)
            )
        elif type(event) is Quote:
            self._quotes.append(
                {
                    "symbol": event.symbol,
                    "bid": event.bid,
                    "ask": event.ask,
                    "marked_at": event.received_us,
                }
            )
            if event.symbol in self.exchange.instruments:
                self._consider(event)

    def _consider(self, quote: Quote) -> None:
        level = self._strategy.on_quote(quote)
        fill = None if level is None else self.exchange.trade_to(level, quote)
        if fill is not None:
            # The position has to know the marks up to this moment before the fill changes it.
            self._record_gathered()
            self._record_fill(fill)

    def _record_fill(self, fill: PaperFill) -> None:
        store, measure = self._store, self._measure
        record = partial(store.record_fill, fill.symbol, fill.side, fill.price, fill.amount)
        names = {"trade_id": fill.trade_id, "order_id": fill.order_id, "strategy": STRATEGY, "bot": BOT}
        fee = {"fee": fill.fee, "fee_currency": CASH, "liquidity": "taker"}
        measure("record_fill", partial(record, **names, **fee, executed_at=fill.executed_us))
        self.fills += 1
        measure("record_order", partial(store.record_order, **_order(fill)))
        for asset, balance in self._touched(fill).items():
            held = self.exchange.margin if asset == CASH else ZERO
            update = partial(store.record_balance_update, asset, balance, held, "paper", reason=fill.trade_id)
            measure("record_balance_update", partial(update, changed_at=fill.executed_us))
        measure("get_latest_balance", partial(store.get_latest_balance, CASH))
        measure("get_open_positions", store.get_open_positions)

    def _touched(self, fill: PaperFill) -> dict[str, Decimal]:
        instrument = self.exchange.instruments[fill.symbol]
        assets = (CASH,) if instrument.perpetual else (CASH, instrument.base)
        return {asset: self.exchange.balances[asset] for asset in assets}

    def _record_gathered(self) -> None:
        store = self._store
        if self._trades:
            trades, self._trades = self._trades, []
            record = partial(store.record_market_trades, trades)
            counts = self._measure("record_market_trades", record, len(trades))
            self.market_trades += counts.inserted
        if self._quotes:
            quotes, self._quotes = self._quotes, []
            self.marks += self._measure("record_marks", partial(store.record_marks, quotes), len(quotes))

    def _take_snapshot(self) -> None:
        record = partial(self._store.record_portfolio_snapshot, ACCOUNT, CASH)
        self._measure("record_portfolio_snapshot", record)


def _order(fill: PaperFill) -> dict[str, Any]:
    return {
        "symbol": fill.symbol,
        "order_id": fill.order_id,
        "side": fill.side,
        "type": "market",
        "status": "closed",
        "amount": fill.amount,
        "filled": fill.amount,
        "average": fill.price,
        "cost": fill.quote_amount,
        "created_at": fill.executed_us,
        "updated_at": fill.executed_us,
        "last_trade_at": fill.executed_us,
        "strategy": STRATEGY,
        "bot": BOT,
    }
