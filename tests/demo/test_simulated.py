"""The simulated market: the same on every machine, and shaped like a recorded one."""

from __future__ import annotations

import hashlib
from collections import Counter
from decimal import Decimal

import pytest

from hybridstore.clock import day_of
from hybridstore.demo.market import MarketTape, MarketTrade, Quote
from hybridstore.demo.simulated import SYMBOLS, simulate_market

DIGEST = "347200700267fad7805693530dcc904e0a5b6a75a189053cd6c38b74aad505d9"


@pytest.fixture(scope="module")
def tape() -> MarketTape:
    return simulate_market()


def test_every_machine_and_python_makes_the_same_tape(tape: MarketTape) -> None:
    digest = hashlib.sha256()
    for events in tape.batches():
        digest.update(repr(events).encode())
    assert digest.hexdigest() == DIGEST


def test_another_seed_makes_another_tape(tape: MarketTape) -> None:
    other = simulate_market(1)
    assert len(other) == len(tape)
    assert next(other.batches()) != next(tape.batches())


def test_the_tape_is_ordered_crosses_midnight_and_keeps_to_the_grid(tape: MarketTape) -> None:
    counts: Counter[tuple[str, type]] = Counter()
    last_us = 0
    tick = {symbol.symbol: Decimal(1).scaleb(-symbol.tick_places) for symbol in SYMBOLS}
    for events in tape.batches():
        for event in events:
            assert event.received_us >= last_us
            last_us = event.received_us
            counts[event.symbol, type(event)] += 1
            if isinstance(event, Quote):
                assert 0 < event.bid < event.ask
                assert event.bid % tick[event.symbol] == event.ask % tick[event.symbol] == 0
            else:
                assert event.amount > 0
                assert event.price % tick[event.symbol] == 0
    assert day_of(tape.last_us) == day_of(tape.first_us) + 1
    for symbol in SYMBOLS:
        assert counts[symbol.symbol, MarketTrade] == symbol.trades
        assert counts[symbol.symbol, Quote] == symbol.quotes
    assert (tape.trade_count, tape.quote_count) == (20_000, 60_000)


def test_trade_ids_are_unique_per_symbol(tape: MarketTape) -> None:
    ids = [
        (event.symbol, event.trade_id)
        for events in tape.batches()
        for event in events
        if isinstance(event, MarketTrade)
    ]
    assert len(set(ids)) == len(ids)
