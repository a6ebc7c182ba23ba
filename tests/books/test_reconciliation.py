"""Reconciling a store: every tier, ten thousand fills, what is said of each asset, and the command line."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from hybridstore import HybridStore, ManualClock, TradingBotStorageSystem, cli
from hybridstore.books.reconciled import Reconciliation
from hybridstore.clock import DAY_US
from hybridstore.errors import InvalidValue
from hybridstore.portfolio.reconcile import Report
from tests.books.conftest import FIRST_US, NOW_US, write_figure
from tests.portfolio.trading import Told, again, told_of, trade

FILLS, FEW = 10_000, 500
SECOND_US = 1_000_000
Run = Callable[..., tuple[int, str, str]]


def tell(store: HybridStore, told: Iterable[Told]) -> None:
    for one in told:
        fill = one.fill
        store.record_fill(
            fill.symbol, fill.side, fill.price, fill.amount, trade_id=fill.trade_id, order_id="o",
            fees=list(fill.fees), executed_at=fill.executed_us, durability="normal",
        )  # fmt: skip


def report(store: HybridStore, reports: Iterable[Report]) -> None:
    store.batch_update_balances(
        [
            {"asset": one.asset, "balance": one.balance, "changed_at": one.reported_us, "source": "websocket"}
            for one in reports
        ]
    )


def move(store: HybridStore, least: int = 1000) -> None:
    """Archive what is old enough; some days stay hot."""
    assert store.retention.run().rows
    rows = store.get_system_status()["datasets"]
    for name in ("ledger", "balance_history", "trades"):
        assert rows[name]["hot_rows"] > least, name
        assert rows[name]["archived_rows"] > least, name


def states(found: Reconciliation) -> dict[str, str]:
    return {one.asset: one.state for one in found.assets}


def test_a_fill_dropped_from_ten_thousand_is_located_in_every_tier(store: HybridStore, rng: Random) -> None:
    account = trade(rng, FILLS, begin_us=FIRST_US, step_us=20 * DAY_US // (FILLS * 11))
    place = rng.randrange(FILLS)
    lost = account.told[place]
    tell(store, account.without(place))
    report(store, account.reports)
    move(store)
    found = store.books.reconcile()
    assert not found.agreed
    (fill,) = found.explanations
    assert (fill.kind, fill.symbol, fill.side) == ("missing fill", lost.fill.symbol, lost.fill.side), (
        fill.text
    )
    if fill.exact:
        assert (fill.amount, fill.price, fill.fees) == (lost.fill.amount, lost.fill.price, lost.fill.fees)
    else:  # by a rare chance another price and fee fit as well
        assert f"{lost.fill.amount.normalize():f} at {lost.fill.price.normalize():f}" in fill.text
    assert {gap.asset: gap.difference for gap in fill.gaps} == net(lost)
    assert {one.asset: one.difference for one in found.assets if one.state == "parted"} == net(lost)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=lost.fill.executed_us)
    assert fill.since is not None
    assert fill.until is not None
    assert fill.since <= moment <= fill.until
    tell(store, [lost])  # late, it is dated when it was executed
    assert store.books.reconcile().agreed


def test_twins_and_corrections_count_as_they_stand(store: HybridStore, rng: Random) -> None:
    account = trade(rng, FEW, begin_us=FIRST_US, step_us=20 * DAY_US // (FEW * 11))
    one = account.told[rng.randrange(10, FEW - 10)]
    tell(store, account.told)
    report(store, account.reports)
    hot = store.books.reconcile()
    assert hot.agreed, hot.sentences()
    move(store, least=FEW // 10)
    found = store.books.reconcile()
    assert (found.agreed, found.assets, found.explanations) == (True, hot.assets, ())
    # Told under another id it is there twice, until one of the two is voided.
    tell(store, [again(one, "twin")])
    (twice,) = store.books.reconcile().explanations
    assert (twice.kind, twice.exact) == ("doubled", True), twice.text
    store.void_fill(one.fill.symbol, "twin", "o")
    assert store.books.reconcile().agreed
    # A corrected fill counts once, in its present version.
    fill = one.fill
    dearer = fill._replace(price=fill.price * 2, quote_amount=fill.quote_amount * 2)
    tell(store, [told_of(dearer)])
    parted = {one.asset: one.difference for one in store.books.reconcile().assets if one.state == "parted"}
    difference = fill.quote_amount if fill.side == "buy" else -fill.quote_amount
    assert parted == {fill.symbol.split("/")[1]: difference}


def net(one: Told) -> dict[str, Decimal]:
    """Return what a fill moved of each asset."""
    moved: dict[str, Decimal] = {}
    for entry in one.entries:
        moved[entry.asset] = moved.get(entry.asset, Decimal(0)) + entry.amount
    return moved


def test_funding_of_two_symbols_at_one_instant_counts_twice(store: HybridStore) -> None:
    store.record_balance_update("USDT", 1000, source="x", changed_at=FIRST_US)
    for symbol in ("BTC/USDT:USDT", "ETH/USDT:USDT"):
        store.record_fill(symbol, "buy", "100", "1", trade_id="1", order_id="o", executed_at=FIRST_US)
    for symbol in ("BTC/USDT:USDT", "ETH/USDT:USDT"):
        store.record_funding(symbol, "-0.25", occurred_at=FIRST_US + SECOND_US)
    store.record_balance_update("USDT", "999.5", source="x", changed_at=FIRST_US + 2 * SECOND_US)
    found = store.books.reconcile()
    assert found.agreed, found.sentences()
    assert (found.assets[0].entries, found.assets[0].booked) == (2, Decimal("999.5"))
    store.record_funding("ETH/USDT:USDT", 0, occurred_at=FIRST_US + SECOND_US)  # it never was
    found = store.books.reconcile()
    assert (found.agreed, found.assets[0].difference) == (False, Decimal("-0.25"))


@pytest.fixture
def mixed(store: HybridStore) -> HybridStore:
    """A store with an asset of every state."""
    at = FIRST_US
    store.record_ledger_entries(
        [
            ("default", "a", "deposit", "AGREED", 5, None, at),
            ("default", "p", "deposit", "PARTED", 5, None, at),
            ("default", "q", "deposit", "PARTED", 2, None, at + 30 * SECOND_US),
            ("default", "n", "deposit", "NEVER", 5, None, at),
        ]
    )
    for asset, balance, seconds in (
        ("AGREED", 5, 1),
        ("PARTED", 5, 1),
        ("PARTED", 8, 60),
        ("FOUND", 3, 1),
        ("EMPTY", 0, 1),
    ):
        store.record_balance_update(asset, balance, source="x", changed_at=at + seconds * SECOND_US)
    return store


def test_every_asset_has_a_state(mixed: HybridStore) -> None:
    found = mixed.books.reconcile()
    assert not found.agreed
    assert states(found) == {
        "AGREED": "agreed",
        "EMPTY": "agreed",
        "FOUND": "unbooked",
        "NEVER": "unreported",
        "PARTED": "parted",
    }
    parted = found.assets[4]
    assert (parted.difference, parted.entry_id, parted.opening_from) == (Decimal(1), "q", "zero")
    assert [parted.agreed_at, parted.parted_at] == [
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=FIRST_US + seconds * SECOND_US)
        for seconds in (1, 60)
    ]
    told = " ".join(found.sentences())
    for words in (
        "PARTED: the exchange reports 8, the books differ by 1",
        "1 PARTED came in",
        "NEVER: 1 entry",
    ):
        assert words in told
    assert "FOUND: the exchange reports 3, nothing was ever booked" in told


def test_one_asset_alone(mixed: HybridStore) -> None:
    assert states(mixed.books.reconcile(asset="AGREED")) == {"AGREED": "agreed"}
    assert mixed.books.reconcile(asset="AGREED").agreed
    assert mixed.books.reconcile(asset="AGREED").explanations == ()
    assert len(mixed.books.reconcile(asset="PARTED").explanations) == 1
    assert mixed.books.reconcile(asset="OTHER").assets == ()


def test_an_opening_that_is_given_is_believed(mixed: HybridStore) -> None:
    found = mixed.books.reconcile(opening={"FOUND": "3", "AGREED": 1})
    assert states(found)["FOUND"] == "unbooked"
    assert states(found)["AGREED"] == "parted"
    assert found.assets[0].agreed_at is None
    assert states(mixed.books.reconcile(opening={}))["FOUND"] == "parted"


def test_a_part_of_the_time(mixed: HybridStore) -> None:
    assert mixed.books.reconcile(end=FIRST_US + 50 * SECOND_US).agreed
    later = mixed.books.reconcile(start=FIRST_US + 20 * SECOND_US, asset="PARTED")
    assert (later.agreed, later.assets[0].opening) == (True, Decimal(1)), "the first report is the opening"
    given = mixed.books.reconcile(start=FIRST_US + 20 * SECOND_US, opening={"PARTED": 5}, asset="PARTED")
    assert (given.agreed, given.assets[0].entries, given.assets[0].kept) == (False, 1, None)


def test_a_sum_the_store_keeps_wrong_is_its_own_fault(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with HybridStore(folder) as store:
        store.record_ledger_entries([("default", "a", "deposit", "BTC", 5, None, FIRST_US)])
        store.record_balance_update("BTC", 5, source="x", changed_at=FIRST_US + 1)
        assert store.books.reconcile().agreed
    write_figure(folder, "UPDATE ledger_balances SET amount = '5.5'")
    with HybridStore(folder) as store:
        found = store.books.reconcile()
    assert (found.agreed, found.assets[0].state, found.assets[0].kept_difference) == (
        False,
        "agreed",
        Decimal("0.5"),
    )
    assert "ledger_balances says 5.5, which is 0.5 more" in found.sentences()[0]


def test_accounts_are_kept_apart(store: HybridStore) -> None:
    store.record_ledger_entries([("one", "a", "deposit", "BTC", 5, None, FIRST_US)])
    store.record_balance_update("BTC", 7, source="x", changed_at=FIRST_US + 1, account="two")
    assert states(store.books.reconcile("one")) == {"BTC": "unreported"}
    assert states(store.books.reconcile("two")) == {"BTC": "unbooked"}
    assert store.books.reconcile().assets == ()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"account": ""}, "account"),
        ({"start": "2026-01-01T00:00:00"}, "start"),
        ({"opening": {"BTC": 0.5}}, "opening"),
        ({"lag_s": -1}, "lag_s"),
        ({"lag_s": float("nan")}, "lag_s"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, object], complaint: str, store: HybridStore) -> None:
    with pytest.raises(InvalidValue, match=complaint):
        store.books.reconcile(**options)  # type: ignore[arg-type]


async def test_on_a_loop_it_is_awaited(tmp_path: Path) -> None:
    async with TradingBotStorageSystem(tmp_path / "store", clock=ManualClock(NOW_US)) as storage:
        await storage.record_balance_update("BTC", Decimal(1), Decimal(0), "x")
        found = await storage.books.reconcile()
    assert states(found) == {"BTC": "unbooked"}


# -- the command line ----------------------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run the command on this test's store; returns exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        words = ["hybridstore", "reconcile", "--root", str(tmp_path / "store"), *arguments]
        monkeypatch.setattr(sys, "argv", words)
        monkeypatch.setenv("COLUMNS", "200")
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_the_command_says_what_parts_and_fails(mixed: HybridStore, run: Run) -> None:
    code, out, _ = run()
    assert code == 1
    assert "the books part from the reports" in out
    assert "Perhaps: 1 PARTED came in between" in out
    code, out, _ = run("--asset", "AGREED")
    assert (code, "the books agree with every report" in out) == (0, True)
    at = datetime.fromtimestamp(FIRST_US // SECOND_US + 50, UTC).isoformat()
    assert run("--at", at)[0] == 0
    code, out, _ = run("--asset", "NEVER")
    assert code == 0
    assert "NEVER: 1 entry, but the exchange never reported a balance" in out
    assert "no balance was ever reported" in out
    assert "the books agree" not in out


def test_the_command_gives_every_digit_to_programs(mixed: HybridStore, run: Run) -> None:
    code, out, _ = run("--json", "--opening", "FOUND=3", "AGREED=0.000000000000000001")
    answer = json.loads(out)
    assert (code, answer["agreed"], answer["assets"][0]["opening"]) == (1, False, "0.000000000000000001")
    code, out, _ = run("--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (code, [row["state"] for row in rows]) == (
        1, ["agreed", "agreed", "unbooked", "unreported", "parted"],
    )  # fmt: skip
    assert rows[4]["entry_id"] == "q"


def test_the_command_proves_on_demand(mixed: HybridStore, run: Run) -> None:
    code, out, _ = run("--asset", "AGREED", "--prove")
    assert (code, "the books prove themselves" in out) == (0, True)
    answer = json.loads(run("--asset", "AGREED", "--prove", "--json")[1])
    assert (answer["proof"]["holds"], answer["reconciliation"]["agreed"]) == (True, True)
    (row,) = csv.DictReader(io.StringIO(run("--asset", "AGREED", "--prove", "--csv")[1]))
    assert (row["proof_net_flow"], row["proof_difference"]) == ("5", "0")
    mixed.close()
    write_figure(mixed.root, "UPDATE portfolio_daily SET net_flow = '6' WHERE currency = 'AGREED'")
    code, out, _ = run("--asset", "AGREED", "--prove")
    assert (code, "the books do not prove themselves" in out) == (1, True)
    assert "portfolio_daily.net_flow of AGREED" in out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--opening", "BTC"], "write for example BTC=1.5"),
        (["--opening", "BTC=x"], "opening"),
        (["--prove", "--at", "2026-01-01T00:00:00Z"], "--prove and --at"),
        (["--json", "--csv"], "one form"),
    ],
)
def test_the_command_refuses_what_does_not_fit(
    arguments: list[str], complaint: str, mixed: HybridStore, run: Run
) -> None:
    code, _, err = run(*arguments)
    assert (code, complaint in " ".join(err.split())) == (1, True)
