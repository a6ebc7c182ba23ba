"""``hybridstore portfolio``: what an account is worth, or was at a moment, and what it depends on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from hybridstore.books.prices import PRICE_AGE_MAX_S
from hybridstore.cli.options import Account, At, Csv, Json, MaxPriceAge, Output, Root, existing_root
from hybridstore.cli.printing import print_answer, print_table, warn
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT
from hybridstore.portfolio.money import ZERO
from hybridstore.portfolio.summary import Holding, price_symbols

if TYPE_CHECKING:
    from hybridstore.books.portfolio import Portfolio
    from hybridstore.portfolio.exposure import Exposure

_COLUMNS = (
    "kind", "name", "side", "amount", "debt", "price", "priced_by", "price_source", "priced_at", "value", "share",
)  # fmt: skip
_ASSET_COLUMNS = ("name", "amount", "price", "value", "share", "price_source", "priced_at", "priced_by")
_POSITION_COLUMNS = (
    "symbol", "side", "amount", "price", "profit", "notional", "leverage", "to liquidation", "entry price",
)  # fmt: skip


def portfolio(
    *,
    account: Account = DEFAULT_ACCOUNT,
    base_currency: Annotated[str, Parameter(help="What to price everything in.")] = "USDT",
    source: Annotated[
        Literal["reported", "booked"],
        Parameter(help="Where balances come from: the exchange's last report, or the sum of the ledger."),
    ] = "reported",
    at: At = None,
    max_price_age_s: MaxPriceAge = PRICE_AGE_MAX_S,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    root: Root = None,
) -> None:
    """Show what an account is worth and what it depends on, now or at any moment."""
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root)) as store:
        found = store.books.portfolio(
            account, base_currency, at=at, source=source, max_price_age_s=max_price_age_s
        )
    exposure = found.exposure()
    print_answer(
        {**dict(found), "exposure": exposure},
        _COLUMNS,
        _rows(found, exposure),
        lambda console: _show(found, exposure, console),
        json=json,
        csv=csv,
        output=output,
    )


def _rows(found: Portfolio, exposure: Exposure) -> Iterator[tuple[Any, ...]]:
    """Yield assets with the value of their balances, then positions with that of their unrealised profit."""
    prices = {price.symbol: price for price in found.prices}
    shares = {share.asset: share.share for share in exposure.allocation}

    def origin(symbols: Sequence[str]) -> tuple[Any, ...]:
        for symbol in symbols:
            if symbol in prices:
                return symbol, prices[symbol].source, prices[symbol].priced_at
        return None, None, None

    for held in sorted(found.assets, key=_by_value):
        own = held.asset == found.base_currency
        symbols = () if own else price_symbols(held.asset, found.base_currency)
        yield (
            "asset", held.asset, None, held.amount, held.debt, held.price, *origin(symbols), held.value,
            shares.get(held.asset),
        )  # fmt: skip
    for position in found.positions:
        yield (
            "position", position.symbol, position.side, position.amount, None, position.mark_price,
            *origin([position.symbol]), position.value, None,
        )  # fmt: skip


def _by_value(held: Holding) -> tuple[bool, Decimal, str]:
    """Order balances: the most valuable first, those without a price last."""
    return held.value is None, (held.value or ZERO).copy_negate(), held.asset


def _show(found: Portfolio, exposure: Exposure, console: Console) -> None:
    base_currency = found.base_currency
    of = "now" if found.at is None else f"at {found.at.isoformat()}"
    console.print(
        f"[bold]{escape(found.account)}[/] {of}, {found.source} balances, in {escape(base_currency)}"
    )
    figures = [
        ("equity", found.equity), ("cash", found.cash), ("positions", found.positions_value),
        ("unrealised profit", found.unrealized_pnl), ("debt", found.debt), ("gross exposure", exposure.gross),
        ("net exposure", exposure.net), ("leverage", exposure.leverage), ("margin used", exposure.margin_used),
    ]  # fmt: skip
    print_table(console, None, ("", base_currency), figures)
    assets = [row for row in _rows(found, exposure) if row[0] == "asset"]
    if assets:
        places = [_COLUMNS.index(name) for name in _ASSET_COLUMNS]
        rows = [[row[place] for place in places] for row in assets]
        print_table(console, "Assets", [name.replace("_", " ") for name in _ASSET_COLUMNS], rows)
    if found.positions:
        print_table(console, "Positions", _POSITION_COLUMNS, _position_rows(found, exposure))
    if exposure.assets:
        sides = [tuple(one.values()) for one in exposure.assets]
        print_table(console, "Exposure", ("asset", "long", "short", "gross", "net"), sides)
    for name in found.unpriced:
        warn(console, f"{name} has no price in {base_currency}: what depends on it is in no sum")
    for asset in found.debts_unknown:
        warn(console, f"what was borrowed of {asset} then is not known, and counts as nothing")


def _position_rows(found: Portfolio, exposure: Exposure) -> list[tuple[Any, ...]]:
    risks = {risk.position_id: risk for risk in exposure.positions}
    rows = []
    for one in found.positions:
        risk = risks[one.position_id]
        rows.append((
            one.symbol, one.side, one.amount, one.mark_price, one.value, risk.notional, risk.leverage,
            risk.liquidation_distance, one.entry_price,
        ))  # fmt: skip
    return rows
