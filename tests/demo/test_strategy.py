"""The demo's strategy: when it speaks, what it says."""

from __future__ import annotations

from decimal import Decimal

from hybridstore.demo.market import Quote
from hybridstore.demo.strategy import MovingAverageStrategy, StrategyConfig

CONFIG = StrategyConfig(sample_us=10, short_samples=2, long_samples=4, band=Decimal("0.01"), levels=3)
SPOT, PERPETUAL = "BTC/USDT", "BTC/USDT:USDT"


def levels(symbol: str, mids: list[int], step_us: int = 10) -> list[int | None]:
    strategy = MovingAverageStrategy(CONFIG, frozenset({PERPETUAL}))
    said = []
    for number, mid in enumerate(mids):
        quote = Quote(symbol, Decimal(mid) - 1, Decimal(mid) + 1, 1_000 + number * step_us)
        said.append(strategy.on_quote(quote))
    return said


def test_it_says_nothing_before_the_long_average_is_full() -> None:
    assert levels(PERPETUAL, [100, 200, 300]) == [None, None, None]


def test_it_counts_the_bands_between_the_averages() -> None:
    # short (100 + 104) / 2 = 102, long 101: 0.99 % of 101 apart; then 104 against 102: 1.96 %.
    assert levels(PERPETUAL, [100, 100, 100, 104, 104]) == [None, None, None, None, 1]


def test_the_level_has_a_ceiling_and_a_floor() -> None:
    assert levels(PERPETUAL, [100, 100, 200, 200])[-1] == 3
    assert levels(PERPETUAL, [200, 200, 100, 100])[-1] == -3


def test_spot_is_never_short() -> None:
    assert levels(SPOT, [100, 100, 200, 200, 100, 100])[3:] == [3, 0, None]


def test_it_speaks_only_when_its_mind_changes() -> None:
    assert levels(PERPETUAL, [100, 100, 200, 200, 250])[3:] == [3, None]


def test_quotes_between_two_samples_are_passed_over() -> None:
    assert levels(PERPETUAL, [100, 1, 100, 1, 200, 1, 200], step_us=5) == [None] * 6 + [3]
