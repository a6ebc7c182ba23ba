"""The proof of the books: it holds over random lives in every tier, and not when one figure is changed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from hybridstore import HybridStore, TradingBotStorageSystem
from hybridstore.clock import DAY_US
from hybridstore.errors import InvalidValue
from hybridstore.portfolio.money import ZERO, add
from hybridstore.schema.registry import Registry
from tests.books.conftest import FIRST_US, LAST_PLACE, read_figures, tell_everything, write_figure
from tests.books.telling import new_clock
from tests.books.test_scripts_through_store import live

ACCOUNTS = 12
ROWS = 1
"""Rows of each figure that are tried in a run; every run draws others."""
FIGURES = {
    "trades": ("amount", "quote_amount", "fee", "fee_in_quote", "realized_pnl", "net_pnl"),
    "ledger": ("amount",),
    "ledger_balances": ("amount", "entries"),
    "positions": ("amount", "entry_cost", "entry_price", "realized_pnl", "fees", "funding"),
    "position_events": ("amount_delta", "realized_delta", "cost_delta", "fees_delta", "funding_delta"),
    "portfolio_hourly": ("net_flow", "realized", "funding", "fees", "other", "volume", "trade_count"),
    "portfolio_daily": ("net_flow", "realized", "funding", "fees", "other", "volume", "trade_count"),
}
"""Figures of every row of the hot store that another figure proves."""
NAMED = {
    "trades": "trade_id",
    "ledger": "entry_id",
    "ledger_balances": "asset",
    "positions": "position_id",
    "position_events": "position_id",
    "portfolio_hourly": "currency",
    "portfolio_daily": "currency",
}
"""By which of its key columns a fault names a row."""
Key = dict[str, object]
OF_CONTRACTS = "symbol LIKE '%:%'"
SOMETIMES = (
    ("trades", "price", OF_CONTRACTS),
    ("trades", "contract_size", OF_CONTRACTS),
    ("positions", "contract_size", OF_CONTRACTS),
    (
        "positions",
        "peak_amount",
        "position_id NOT IN (SELECT position_id FROM position_events WHERE kind = 'adjust')",
    ),
)
"""Figures that are proved in some rows only: of what a position felt, of what was never corrected."""


def test_every_term_of_an_account_by_hand(store: HybridStore) -> None:
    """Each term in one asset, added up on paper."""
    entries = [("default", "d", "deposit", "USDT", 1000, None, FIRST_US)]
    store.record_ledger_entries([*entries, ("default", "i", "interest", "USDT", "-2", None, FIRST_US)])
    fills = (("buy", "100", "2", "0.5"), ("sell", "110", "1", "0.25"), ("sell", "120", "3", "0"))
    for number, (side, price, amount, fee) in enumerate(fills):
        store.record_fill(
            "BTC/USDT", side, price, amount, trade_id=str(number), order_id="o", fee=fee,
            executed_at=FIRST_US + number,
        )  # fmt: skip
    store.record_fill(
        "BTC/USDT:USDT", "buy", "100", "1", trade_id="c", order_id="o", executed_at=FIRST_US + 3
    )
    store.record_funding("BTC/USDT:USDT", "-0.125", occurred_at=FIRST_US + 4)
    store.create_position("p", "BTC/USDT", "LONG", "5", "90")
    proof = store.books.prove()
    assert proof.holds, proof.faults
    btc, usdt = proof.assets
    assert str(usdt.net_flow) == "1000", "no exponent in what is told"
    # 2 bought for 200; 1 sold for 110; 3 sold for 360, of which the position had 1 that had cost 100.
    assert usdt.to_dict() == {
        "asset": "USDT",
        "booked": Decimal("1267.125"),
        "net_flow": Decimal(1000),
        "realized": Decimal(30),
        "funding": Decimal("-0.125"),
        "fees": Decimal("0.75"),
        "other": Decimal(-2),
        "held": Decimal(-450),
        "conversions": Decimal(240),
        "by_hand": Decimal(450),
        "difference": ZERO,
    }
    assert [btc.booked, btc.held, btc.conversions, btc.by_hand] == [
        Decimal(figure) for figure in (-2, 5, -2, -5)
    ]
    assert (proof.fills, proof.entries, proof.positions, proof.events) == (4, 11, 3, 6)


def test_random_lives_prove_themselves_hot_and_archived(seed: int, tmp_path: Path) -> None:
    clock = new_clock()
    with HybridStore(tmp_path / "store", clock=clock) as store:
        tellers = live(store, clock, seed, ACCOUNTS)
        for moved in (False, True):
            for teller in tellers:
                proof = store.books.prove(teller.account)
                assert proof.holds, (seed, teller.account, [one.sentence() for one in proof.faults])
            if not moved:
                clock.advance(9 * DAY_US)
                assert store.retention.run().rows
                assert store.retention.status()


def test_everything_is_proved_in_every_tier(reopen: Callable[[], HybridStore]) -> None:
    with reopen() as store:
        status = store.get_system_status()["datasets"]
        for name in ("trades", "ledger", "position_events"):
            assert status[name]["hot_rows"] > 3, name
            assert status[name]["archived_rows"] > 3, name
        proof = store.books.prove()
    assert proof.holds, [one.sentence() for one in proof.faults]
    terms = ("net_flow", "realized", "funding", "fees", "other", "held", "conversions", "by_hand")
    assert [name for name in terms if all(not asset[name] for asset in proof.assets)] == []


@pytest.mark.parametrize("table", FIGURES)
def test_one_figure_that_is_wrong_by_its_last_place_is_named(
    table: str, told: Path, reopen: Callable[[], HybridStore], rng: Random
) -> None:
    for column in FIGURES[table]:
        rows = stored(told, table, column)
        for key, figure in rng.sample(rows, min(len(rows), ROWS)):
            with_mistake(told, table, column, key, figure, reopen)


@pytest.mark.parametrize(("table", "column", "where"), SOMETIMES)
def test_terms_that_another_figure_proves_in_some_rows_are_named_there(
    table: str, column: str, where: str, told: Path, reopen: Callable[[], HybridStore]
) -> None:
    rows = stored(told, table, column, where)
    assert rows
    for key, figure in rows:
        with_mistake(told, table, column, key, figure, reopen)


def stored(told: Path, table: str, column: str, where: str = "true") -> list[tuple[Key, object]]:
    """Return the keys of hot rows with one of their figures."""
    names = Registry()[table].key
    question = f"SELECT {', '.join(names)}, {column} FROM {table} WHERE {column} IS NOT NULL AND {where}"
    return [(dict(zip(names, row, strict=False)), row[-1]) for row in read_figures(told, question)]


def with_mistake(
    told: Path, table: str, column: str, key: Key, figure: object, reopen: Callable[[], HybridStore]
) -> None:
    """Change a figure, see that the proof names its row, change it back."""
    wrong = figure + 1 if isinstance(figure, int) else f"{add(Decimal(str(figure)), LAST_PLACE):f}"
    statement = f"UPDATE {table} SET {column} = ? WHERE {' AND '.join(f'{name} = ?' for name in key)}"
    write_figure(told, statement, wrong, *key.values())
    try:
        with reopen() as store:
            proof = store.books.prove()
    finally:
        write_figure(told, statement, figure, *key.values())
    what = f"{table}.{column} of {key}: {figure} made {wrong}"
    assert not proof.holds, what
    name = str(key[NAMED[table]])
    named = [fault for fault in proof.faults if name in fault.where or fault.check.endswith(f".{column}")]
    # The notional of a contract stands nowhere else but in the volume of its hour and day.
    assert named or (column, proof.faults[0].check) == ("quote_amount", "portfolio_hourly.volume"), (
        what, proof.faults,
    )  # fmt: skip


@pytest.mark.parametrize("table", ["ledger", "position_events", "trades"])
def test_a_row_that_is_gone_is_named(table: str, tmp_path: Path, rng: Random) -> None:
    folder = tmp_path / "store"
    with HybridStore(folder) as store:
        tell_everything(store)
        assert store.books.prove().holds
    (row,) = rng.choice(read_figures(folder, f"SELECT rowid FROM {table} WHERE account = 'default'"))
    write_figure(folder, f"DELETE FROM {table} WHERE rowid = ?", row)
    with HybridStore(folder) as store:
        proof = store.books.prove()
    assert not proof.holds
    assert all(fault.sentence() for fault in proof.faults)


def test_an_account_without_books_proves_itself(store: HybridStore) -> None:
    proof = store.books.prove("nobody")
    assert (proof.holds, proof.assets, proof.fills) == (True, (), 0)
    with pytest.raises(InvalidValue, match="account"):
        store.books.prove("")


async def test_on_a_loop_the_proof_is_awaited(tmp_path: Path) -> None:
    async with TradingBotStorageSystem(tmp_path / "store") as storage:
        await storage.record_fill("BTC/USDT", "buy", "100", "1", trade_id="1", order_id="o")
        proof = await storage.books.prove()
    assert (proof.holds, proof.fills) == (True, 1)


def test_a_rebate_that_gives_back_what_was_sold_beyond_is_no_fault(store: HybridStore) -> None:
    store.record_fill("BTC/USDT", "buy", "100", "0.6", trade_id="1")
    store.record_fill(
        "BTC/USDT", "sell", "110", "0.8", trade_id="2", fees=[("BTC", "-0.2")], quote_amount="87.9"
    )
    assert store.books.prove().holds


def test_a_correction_that_no_longer_fits_is_booked_beside_and_proves_itself(store: HybridStore) -> None:
    def tell(side: str, amount: str, number: int, executed_us: int) -> None:
        store.record_fill(
            "BTC/USDT", side, "100", amount, trade_id=str(number), order_id="o", executed_at=executed_us
        )

    tell("buy", "10", 1, FIRST_US + 10)
    tell("sell", "8", 2, FIRST_US + 20)
    assert store.books.prove().holds
    tell("buy", "5", 1, FIRST_US)  # less than was sold, and of another moment
    proof = store.books.prove()
    assert proof.holds, proof.faults
    (btc,) = [asset for asset in proof.assets if asset.asset == "BTC"]
    assert btc.booked == -3
