"""The demo bot's strategy: follow the short moving average when it leaves the long one.

It is chosen to be understood at a glance and to trade often, not to earn: with taker fees it loses. It is
pure: quotes go in, levels come out; it knows no account, no store and no clock but the quotes' own.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from hybridstore.demo.market import Quote


class StrategyConfig(msgspec.Struct, frozen=True):
    """The strategy's settings.

    Attributes:
        sample_us: The mid price is looked at once per so many microseconds.
        short_samples: Length of the short average.
        long_samples: Length of the long average; nothing is traded before it is full.
        band: One level of conviction: so large a part of the price the averages must lie apart.
        levels: The highest level, either way.
    """

    sample_us: int = 100_000
    short_samples: int = 50
    long_samples: int = 300
    band: Decimal = Decimal("0.00002")
    levels: int = 10


class _Averages:
    """The last mids of a symbol (doubled, so that bid + ask needs no division) and the level last said."""

    def __init__(self, config: StrategyConfig) -> None:
        self.due_us = 0
        self.level = 0
        self.short: deque[Decimal] = deque(maxlen=config.short_samples)
        self.long: deque[Decimal] = deque(maxlen=config.long_samples)

    def add(self, doubled_mid: Decimal) -> None:
        self.short.append(doubled_mid)
        self.long.append(doubled_mid)


class MovingAverageStrategy:
    """Says after each quote how convinced it is, per symbol, in whole levels.

    Args:
        config: Its settings.
        may_go_short: Symbols in which a level below zero is allowed; elsewhere zero is the lowest.
    """

    def __init__(self, config: StrategyConfig, may_go_short: frozenset[str]) -> None:
        self._config = config
        self._may_go_short = may_go_short
        self._averages: dict[str, _Averages] = {}

    def on_quote(self, quote: Quote) -> int | None:
        """Take one quote in.

        Args:
            quote: The next quote; quotes of one symbol come in time order.

        Returns:
            The level now wanted in the quote's symbol when it has changed, else None. Level 2 means a long
            position of two clips, -1 a short one of one clip.
        """
        averages = self._averages.get(quote.symbol)
        if averages is None:
            averages = self._averages[quote.symbol] = _Averages(self._config)
        if quote.received_us < averages.due_us:
            return None
        averages.due_us = quote.received_us + self._config.sample_us
        averages.add(quote.bid + quote.ask)
        if len(averages.long) < self._config.long_samples:
            return None
        level = self._level(averages)
        if level < 0 and quote.symbol not in self._may_go_short:
            level = 0
        if level == averages.level:
            return None
        averages.level = level
        return level

    def _level(self, averages: _Averages) -> int:
        """Count the bands between the averages, towards zero. Cross-multiplied: nothing is rounded."""
        shorts, longs = len(averages.short), len(averages.long)
        short, long = sum(averages.short, Decimal(0)), sum(averages.long, Decimal(0))
        apart = short * longs - long * shorts
        bands = int(abs(apart) // (self._config.band * long * shorts))
        return min(bands, self._config.levels) * (1 if apart > 0 else -1)
