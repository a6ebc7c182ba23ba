"""The examples record what other programs tell: with objects of their shape, and with the real ones where they are."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hybridstore import HybridStore
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "examples"
AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
QUESTION = "select symbol, side, price, amount, fee, fee_currency, trade_id, account, strategy from trades order by id"


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py")],
        cwd=folder, capture_output=True, text=True, check=False, timeout=150,
        env={**os.environ, "HYBRIDSTORE_MAINTENANCE": "off"},
    )  # fmt: skip


def of_freqtrade(**changes: Any) -> tuple[Any, Any]:
    """Return a Trade and an Order with the attributes that freqtrade 2026.9 has."""
    order = {
        "order_id": "o-1", "ft_order_side": "buy", "safe_price": 60000.1, "safe_filled": 0.005, "ft_fee_base": None,
        "order_filled_utc": AT,
    }  # fmt: skip
    trade = SimpleNamespace(
        id=7, entry_side="buy", fee_open=0.001, fee_close=0.002, safe_base_currency="BTC", safe_quote_currency="USDT",
        enter_tag="dip", exit_reason=None,
    )  # fmt: skip
    return trade, SimpleNamespace(**{**order, **changes})


def test_freqtrade_orders_are_fills_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = load("freqtrade_strategy")
    monkeypatch.setattr(example, "ROOT", str(tmp_path / "store"))
    strategy = example.RecordsFills()
    strategy.dp = SimpleNamespace(runmode=SimpleNamespace(value="dry_run"))
    strategy.bot_start()
    try:
        trade, bought = of_freqtrade()
        _, sold = of_freqtrade(
            order_id="o-2", ft_order_side="sell", safe_price=61000.0, order_filled_utc=None
        )
        _, cut = of_freqtrade(order_id="o-3", ft_fee_base=0.000005)
        for order in (bought, bought, sold, cut):
            strategy.order_filled("BTC/USDT", trade, order, AT)
        strategy.dp.runmode.value = "backtest"
        strategy.order_filled("BTC/USDT", trade, of_freqtrade(order_id="o-9")[1], AT)
        strategy.bot_loop_start(AT)
        rows = strategy.store.sql(QUESTION).rows()
    finally:
        strategy.store.close()
    told = ("default", "RecordsFills")
    amount = Decimal("0.005")
    assert rows == [
        ("BTC/USDT", "buy", Decimal("60000.1"), amount, Decimal("0.3000005"), "USDT", "order-o-1", *told),
        ("BTC/USDT", "sell", Decimal(61000), amount, Decimal("0.61"), "USDT", "order-o-2", *told),
        ("BTC/USDT", "buy", Decimal("60000.1"), amount, Decimal("0.000005"), "BTC", "order-o-3", *told),
    ]


def test_what_freqtrade_cannot_record_now_is_recorded_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = load("freqtrade_strategy")
    monkeypatch.setattr(example, "ROOT", str(tmp_path / "store"))
    strategy = example.RecordsFills()
    strategy.dp = SimpleNamespace(runmode=SimpleNamespace(value="live"))
    strategy.bot_start()
    store = strategy.store
    try:
        with monkeypatch.context() as patch:
            from hybridstore import StorageFull

            def full(**_fill: Any) -> None:
                raise StorageFull("no space")

            patch.setattr(store, "record_fill", full)
            trade, order = of_freqtrade()
            strategy.order_filled("BTC/USDT", trade, order, AT)
            assert len(strategy.waiting) == 1
        strategy.bot_loop_start(AT)
        assert store.sql("select count(*) from trades").rows() == [(1,)]
    finally:
        store.close()


def test_a_real_freqtrade_loads_the_strategy_and_its_orders_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    persistence = pytest.importorskip("freqtrade.persistence", reason="freqtrade is not installed")
    resolver = importlib.import_module("freqtrade.resolvers").StrategyResolver
    persistence.init_db("sqlite://")
    strategy = resolver.load_strategy(
        {
            "strategy": "RecordingStrategy",
            "strategy_path": str(FOLDER),
            "user_data_dir": tmp_path,
            "stake_currency": "USDT",
        }
    )
    monkeypatch.setitem(type(strategy).bot_start.__globals__, "ROOT", str(tmp_path / "store"))
    strategy.dp = SimpleNamespace(runmode=SimpleNamespace(value="dry_run"))
    trade = persistence.Trade(
        pair="BTC/USDT", base_currency="BTC", stake_currency="USDT", stake_amount=300.0, amount=0.005,
        open_rate=60000.1, fee_open=0.001, fee_close=0.001, exchange="binance", open_date=AT, is_short=False,
        leverage=1.0,
    )  # fmt: skip
    told = {
        "id": "o-1", "symbol": "BTC/USDT", "side": "buy", "type": "limit", "status": "closed", "price": 60000.1,
        "average": 60000.1, "amount": 0.005, "filled": 0.005, "remaining": 0.0, "cost": 300.0005,
        "timestamp": 1_790_000_000_000,
        "lastTradeTimestamp": 1_790_000_000_000,
    }  # fmt: skip
    order = persistence.Order.parse_from_ccxt_object(told, "BTC/USDT", "buy")
    order.update_from_ccxt_object(told)
    strategy.bot_start()
    try:
        strategy.order_filled("BTC/USDT", trade, order, AT)
        rows = strategy.store.sql(QUESTION).rows()
    finally:
        strategy.store.close()
    assert [row[2:6] for row in rows] == [
        (Decimal("60000.1"), Decimal("0.005"), Decimal("0.3000005"), "USDT")
    ]


def test_hummingbot_events_are_recorded_in_order(tmp_path: Path) -> None:
    example = load("hummingbot_listener")
    listener = example.RecordingListener(str(tmp_path / "store"), account="binance/main")
    flat = [SimpleNamespace(token="BNB", amount=Decimal("0.0001"))]  # noqa: S106  an asset
    for number in (1, 2, 2):
        fee = SimpleNamespace(
            percent=Decimal("0.001") if number == 1 else Decimal(0), percent_token=None, flat_fees=flat
        )
        listener.on_fill(
            107, None,
            SimpleNamespace(
                timestamp=1_790_000_000.25 + number, order_id=f"o-{number}", trading_pair="BTC-USDT",
                trade_type=SimpleNamespace(name="BUY"), price=Decimal("60000.123456789"), amount=Decimal("0.00000001"),
                trade_fee=fee, exchange_trade_id=f"t-{number}",
            ),
        )  # fmt: skip
    listener.close()
    with HybridStore(tmp_path / "store") as store:
        rows = store.sql(
            "select trade_id, price, amount, fee, fee_currency, fees is not null from trades order by id"
        ).rows()
    price, amount = Decimal("60000.123456789"), Decimal("0.00000001")
    assert rows == [
        ("t-1", price, amount, None, None, True),
        ("t-2", price, amount, Decimal("0.0001"), "BNB", False),
    ]


@pytest.mark.parametrize("name", ["freqtrade_strategy", "hummingbot_listener"])
def test_an_example_runs_by_itself(name: str, tmp_path: Path) -> None:
    done = run(name, tmp_path)
    assert done.returncode == 0, done.stderr
    with HybridStore(tmp_path / "my-store") as store:
        assert store.sql("select count(*) from trades").rows() == [(1,)]


def test_nautilus_events_as_they_are_documented() -> None:
    example = load("nautilus_actor")

    def exact(text: str, **more: Any) -> Any:
        return SimpleNamespace(as_decimal=lambda: Decimal(text), **more)

    def named(value: str) -> Any:
        return SimpleNamespace(value=value)

    usdt = SimpleNamespace(code="USDT")
    perpetual = type("CryptoPerpetual", (), {})()
    perpetual.base_currency, perpetual.quote_currency = SimpleNamespace(code="BTC"), usdt
    perpetual.settlement_currency, perpetual.multiplier = usdt, exact("1")
    event = SimpleNamespace(
        is_buy=False, last_px=exact("50002.5"), last_qty=exact("0.5"), commission=exact("4.5", currency=usdt),
        trade_id=named("T-1"), client_order_id=named("O-1"), liquidity_side=SimpleNamespace(name="TAKER"),
        account_id=named("BINANCE-001"), strategy_id=named("S-000"), ts_event=1_700_000_000_123_456_789,
    )  # fmt: skip
    fill = example.fill_of(event, perpetual)
    assert (fill["symbol"], fill["side"], fill["price"], fill["fee"]) == (
        "BTC/USDT:USDT", "sell", Decimal("50002.5"), Decimal("4.5"),
    )  # fmt: skip
    assert fill["executed_at"] == 1_700_000_000_123_456


def test_a_real_nautilus_is_recorded(tmp_path: Path) -> None:
    pytest.importorskip("nautilus_trader", reason="nautilus_trader is not installed")
    done = run("nautilus_actor", tmp_path)
    assert done.returncode == 0, done.stderr
    with HybridStore(tmp_path / "my-store") as store:
        assert [row[1:4] for row in store.sql(QUESTION).rows()] == [
            ("buy", Decimal(50002), Decimal("0.5")),
            ("sell", Decimal(50004), Decimal("0.5")),
        ]
        balance = store.get_latest_balance("USDT", "BINANCE-001")
        assert balance is not None
        assert balance.balance == Decimal("999950.997")
