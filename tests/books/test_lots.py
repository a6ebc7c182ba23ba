"""Lots of an account from its store: every tier, one moment, late, voided and corrected fills, hedges."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from hybridstore import HybridStore, TradingBotStorageSystem
from hybridstore.books.lots import Lots
from hybridstore.errors import InvalidValue
from hybridstore.portfolio.lots import compute_lots
from hybridstore.portfolio.lots_records import METHODS, make_lot_fill
from hybridstore.portfolio.money import total
from hybridstore.portfolio.symbols import parse_symbol
from tests.books.own_fills import LINEAR, SPOT, open_own_store, told


@pytest.fixture
def store(tmp_path: Path) -> HybridStore:
    """An open store with three purchases and two sales over three years."""
    return open_own_store(tmp_path / "store")


def sums(lots: Lots) -> dict[tuple[str, int | None], tuple[object, ...]]:
    return {(one.plan, one.year): (one.cost, one.proceeds, one.gain_net) for one in lots.years}


def places_of_trades(store: HybridStore) -> tuple[int, int]:
    counts = store.get_system_status()["datasets"]["trades"]
    return counts["hot_rows"], counts["archived_rows"]


def test_lots_are_the_same_wherever_the_fills_are(store: HybridStore) -> None:
    with store:
        hot = store.books.lots(method=METHODS)
        assert {one.plan for one in hot.disposals} == set(METHODS)
        store.retention.run()
        assert places_of_trades(store) == (0, 5)
        told(store, 6, "sell", "0.25", "500", "2025-08-01")
        before = store.books.lots(method=METHODS, until="2025-07-31T00:00:00Z")
        assert (before.disposals, before.open_lots) == (hot.disposals, hot.open_lots)
        assert (before.years, before.totals) == (hot.years, hot.totals)
        assert places_of_trades(store) == (1, 5)
        after = store.books.lots(method="fifo")
        assert [one.trade_id for one in after.disposals] == ["t1", "t4", "t4", "t5", "t6"]


def test_totals_by_year_and_method(store: HybridStore) -> None:
    with store:
        lots = store.books.lots(method=["FIFO", "HIFO"])
    # FIFO sells 0.999 of t1 (the fee took 0.001 of it) and 0.001 of t2, HIFO all of t2; fees go with their lots.
    assert sums(lots) == {
        ("FIFO", 2023): (Decimal("0.1"), Decimal("0.1"), Decimal("-0.0001")),
        ("FIFO", 2024): (Decimal("100.2"), Decimal(400), Decimal("299.6991")),
        ("FIFO", 2025): (Decimal(150), Decimal(200), Decimal("49.5")),
        ("HIFO", 2023): (Decimal("0.1"), Decimal("0.1"), Decimal("-0.0001")),
        ("HIFO", 2024): (Decimal(300), Decimal(400), Decimal(99)),
        ("HIFO", 2025): (Decimal(100), Decimal(200), Decimal("99.75")),
    }
    fifo, hifo = lots.totals
    assert (fifo.plan, fifo.year, fifo.symbol, fifo.currency, fifo.disposals) == (
        "FIFO",
        None,
        None,
        "USDT",
        4,
    )
    assert (fifo.gain_net, hifo.gain_net) == (Decimal("349.199"), Decimal("198.7499"))
    assert fifo.other_fees == ()
    assert hifo.other_fees == (("BNB", Decimal("0.005")),)
    assert fifo.to_dict()["gain"] == fifo["gain"]


def test_methods_change_with_the_year(store: HybridStore) -> None:
    with store:
        lots = store.books.lots(by_year={2024: "HIFO", 2025: "LIFO"})
    assert [(one.method, one.acquired_trade_id) for one in lots.disposals] == [
        ("FIFO", "t1"),
        ("HIFO", "t2"),
        ("LIFO", "t3"),
    ]


@pytest.fixture
def berlin() -> str:
    """Name a zone; the test skips where the system knows none."""
    try:
        ZoneInfo("Europe/Berlin")
    except ZoneInfoNotFoundError:
        pytest.skip("this system has no time zones and tzdata is not installed")
    return "Europe/Berlin"


def test_a_year_has_its_disposals_and_the_lots_at_its_end(store: HybridStore, berlin: str) -> None:
    with store:
        lots = store.books.lots(year=2024)
        assert [one.trade_id for one in lots.disposals] == ["t4", "t4"]
        assert lots.until == datetime(2024, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
        assert total(lot.amount for lot in lots.open_lots) == Decimal("1.999")
        told(store, 7, "sell", "0.1", "500", "2024-12-31T23:30:00Z")
        assert [one.trade_id for one in store.books.lots(year=2024).disposals] == ["t4", "t4", "t7"]
        in_berlin = store.books.lots(year=2025, zone=berlin)
        assert [one.trade_id for one in in_berlin.disposals] == ["t7", "t5"]


def test_until_counts_the_moment_itself(store: HybridStore) -> None:
    with store:
        assert len(store.books.lots(until="2024-07-01T00:00:00Z").disposals) == 3
        assert len(store.books.lots(until="2024-06-30T23:59:59.999999Z").disposals) == 1
        assert store.books.lots(until="2020-01-01T00:00:00Z").open_lots == ()


def test_lots_are_pooled_once_a_year_of_averages_has_begun(store: HybridStore) -> None:
    with store:
        ended = store.books.lots(by_year={2026: "AVERAGE"}, until="2025-12-31T23:59:59Z")
        begun = store.books.lots(by_year={2026: "AVERAGE"}, until="2026-01-01T00:00:00Z")
    assert [lot.basis for lot in ended.open_lots] == ["trade", "trade"]
    assert [(lot.basis, lot.amount) for lot in begun.open_lots] == [("pool", Decimal("1.499"))]


def test_accounts_and_markets_have_lots_of_their_own(store: HybridStore) -> None:
    with store:
        told(store, 6, "buy", "2", "10", "2024-01-01", symbol="ETH/BTC")
        told(store, 7, "sell", "1", "12", "2024-02-01", symbol="ETH/BTC")
        told(store, 8, "sell", "1", "400", "2024-02-01", account="other/main")
        everything = store.books.lots()
        assert [(one.currency, one.symbol) for one in everything.totals] == [("USDT", None), ("BTC", None)]
        assert [one.symbol for one in everything.open_lots] == [SPOT, SPOT, "ETH/BTC"]
        assert {one.symbol for one in store.books.lots(symbol="ETH/BTC").disposals} == {"ETH/BTC"}
        (unknown,) = store.books.lots(account="other/main").disposals
        assert (unknown.basis, unknown.cost) == ("unknown", None)
        assert store.books.lots(account="nobody") == Lots("nobody", None, None, None, (), (), (), ())


def test_a_voided_fill_counts_nothing_and_a_corrected_one_as_it_is_now(store: HybridStore) -> None:
    with store:
        store.void_fill(SPOT, "t4", "o")
        told(store, 5, "sell", "0.25", "400", "2025-07-01")
        assert [(one.trade_id, one.amount) for one in store.books.lots().disposals] == [
            ("t1", Decimal("0.001")),
            ("t5", Decimal("0.25")),
        ]


def test_a_fill_told_late_counts_when_it_was_executed(store: HybridStore) -> None:
    with store:
        told(store, 6, "buy", "1", "50", "2023-01-01")
        first, *_ = store.books.lots().disposals
        assert (first.kind, first.acquired_trade_id) == ("fee", "t6")


def test_both_sides_of_a_hedge(tmp_path: Path) -> None:
    hedge = {"symbol": LINEAR}
    with HybridStore(tmp_path / "store") as store:
        told(store, 1, "buy", "2", "100", "2025-01-01", **hedge, position_side="LONG")
        told(store, 2, "sell", "1", "120", "2025-01-02", **hedge, position_side="SHORT")
        told(store, 3, "sell", "3", "130", "2025-01-03", **hedge, position_side="LONG")
        told(store, 4, "buy", "1", "90", "2025-01-04", **hedge, position_side="SHORT")
        lots = store.books.lots(method="AVERAGE")
        assert lots.open_lots == ()
        assert [(one.side, one.basis, one.amount, one.gain) for one in lots.disposals] == [
            ("LONG", "pool", Decimal(2), Decimal(60)),
            ("LONG", "unknown", Decimal(1), None),
            ("SHORT", "pool", Decimal(1), Decimal(30)),
        ]
        positions = store.sql("SELECT sum(realized_pnl) FROM positions").rows()
        assert positions == [(total(one.gain for one in lots.totals),)]


def test_a_position_that_turned_is_no_hedge(tmp_path: Path) -> None:
    with HybridStore(tmp_path / "store") as store:
        for number, (side, amount) in enumerate((("buy", "2"), ("sell", "3"), ("buy", "2"), ("sell", "1"))):
            told(store, number, side, amount, str(100 + number), f"2025-01-0{number + 1}", symbol=LINEAR)
        lots = store.books.lots(method="AVERAGE")
        assert lots.open_lots == ()
        assert [one.side for one in lots.disposals] == ["LONG", "SHORT", "LONG"]
        (realized,) = store.sql("SELECT sum(realized_pnl) FROM positions").rows()
        assert realized == (lots.totals[0].gain,)


def test_random_fills_told_in_any_order(tmp_path: Path, rng: Random) -> None:
    """What the store gives is what the engine makes of the same fills in the order they were executed."""
    market = parse_symbol(SPOT)
    rows = []
    for number in range(120):
        executed_us = 1_640_000_000_000_000 + number * 1_000_000_000_000 + rng.randrange(1000)
        amount, price = (
            Decimal(rng.randrange(1, 10**9)).scaleb(-8),
            Decimal(rng.randrange(1, 10**7)).scaleb(-2),
        )
        assets = rng.sample(["USDT", "BTC", "BNB"], rng.randrange(3))
        fees = [(asset, Decimal(rng.randrange(-(10**4), 10**5)).scaleb(-9)) for asset in assets]
        rows.append((number, rng.choice(["buy", "buy", "sell"]), amount, price, executed_us, fees))
    fills = [
        make_lot_fill(
            market, side, price, amount, fees, trade_id=f"t{number}", order_id="o", executed_us=executed_us
        )
        for number, side, amount, price, executed_us, fees in rows
    ]
    by_year = {2022: "HIFO", 2023: "AVERAGE", 2024: "LIFO"}
    expected = compute_lots(SPOT, fills, by_year=by_year)
    rng.shuffle(rows)
    with HybridStore(tmp_path / "store") as store:
        for place, (number, side, amount, price, executed_us, fees) in enumerate(rows):
            store.record_fill(
                SPOT, side, price, amount, trade_id=f"t{number}", order_id="o", fees=fees,
                executed_at=executed_us, durability="normal",
            )  # fmt: skip
            if place == 60:
                store.retention.run()
        assert min(places_of_trades(store)) > 40
        lots = store.books.lots(method=METHODS, by_year=by_year)
    assert (list(lots.disposals), list(lots.open_lots)) == expected


def test_contracts_that_turn_are_late_voided_and_corrected(tmp_path: Path, rng: Random) -> None:
    """Positions follow the order of telling; lots are those of what was executed in the end, in its order."""
    market = parse_symbol("BTC/USD:BTC")
    sides = [rng.choice(["buy", "sell"]) for _ in range(40)]
    amounts = {number: Decimal(rng.randrange(1, 6)) for number in range(40)}
    prices = [Decimal(rng.randrange(100, 200)) for _ in range(40)]
    start_us = 1_700_000_000_000_000

    def tell(store: HybridStore, number: int) -> None:
        store.record_fill(
            market.symbol, sides[number], prices[number], amounts[number], trade_id=f"t{number}", order_id="o",
            executed_at=start_us + number * 1_000_000, contract_size=100, durability="normal",
        )  # fmt: skip

    with HybridStore(tmp_path / "store") as store:
        order = sorted(range(40), key=lambda number: number + 3 * rng.random())
        for place, number in enumerate(order):
            tell(store, number)
            if rng.random() < 0.2:
                changed = rng.choice(order[: place + 1])
                if rng.random() < 0.5:
                    store.void_fill(market.symbol, f"t{changed}", "o")
                    amounts[changed] = Decimal(0)
                elif amounts[changed]:
                    amounts[changed] = Decimal(6 + place)  # never told before: that would be a repetition
                    tell(store, changed)
        lots = store.books.lots(method=METHODS)
    fills = [
        make_lot_fill(
            market, sides[number], prices[number], amounts[number], trade_id=f"t{number}", order_id="o",
            executed_us=start_us + number * 1_000_000, contract_size=Decimal(100),
        )
        for number in range(40)
    ]  # fmt: skip
    assert (list(lots.disposals), list(lots.open_lots)) == compute_lots(market.symbol, fills)


async def test_a_bot_asks_for_them_too(tmp_path: Path) -> None:
    async with TradingBotStorageSystem(tmp_path / "store") as storage:
        await storage.record_fill(SPOT, "buy", "100", "1", trade_id="1", order_id="o")
        lots = await storage.books.lots(symbol=SPOT, method="AVERAGE")
    assert [(lot.basis, lot.amount) for lot in lots.open_lots] == [("pool", Decimal(1))]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"method": "FILO"}, "FILO"),
        ({"by_year": {24: "FIFO"}}, "by_year=24"),
        ({"year": 1}, "year=1"),
        ({"until": "yesterday"}, "until='yesterday'"),
        ({"until": datetime(2025, 1, 1)}, "naive"),  # noqa: DTZ001  it is refused
        ({"zone": "Europe/Nowhere"}, "Europe/Nowhere"),
        ({"zone": "../x"}, "zone="),
        ({"account": ""}, "account"),
        ({"symbol": ""}, "symbol=''"),
        ({"symbol": "BTC"}, "symbol='BTC'"),
    ],
)
def test_what_cannot_be_asked_is_named(
    store: HybridStore, options: dict[str, object], complaint: str
) -> None:
    with store, pytest.raises(InvalidValue, match=complaint):
        store.books.lots(**options)  # type: ignore[arg-type]
