"""``hybridstore positions``: what is open, or was at a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from hybridstore.books.prices import PRICE_AGE_MAX_S
from hybridstore.cli.options import At, Csv, Json, MaxPriceAge, Output, Root, existing_root
from hybridstore.cli.printing import print_answer, print_table, warn

if TYPE_CHECKING:
    from hybridstore.books.position_at import PositionAt

_SHOWN = (
    "symbol", "side", "amount", "price", "unrealized_pnl", "profit_asset", "entry_price", "realized_pnl", "fees",
    "funding",
)  # fmt: skip
"""Columns of the table, the important ones first; JSON and CSV have all."""


def positions(
    *,
    account: Annotated[str | None, Parameter(help="Whose. Default: every account's.")] = None,
    symbol: Annotated[str | None, Parameter(help="Only this market. Default: all.")] = None,
    all_: Annotated[
        bool, Parameter(name="--all", negative="", help="Closed positions as well, archived ones included.")
    ] = False,
    at: At = None,
    max_price_age_s: MaxPriceAge = PRICE_AGE_MAX_S,
    json: Json = False,
    csv: Csv = False,
    output: Output = None,
    root: Root = None,
) -> None:
    """Show positions with their profit, as they are or as they were at any moment."""
    from hybridstore.books.position_at import PositionAt
    from hybridstore.store import HybridStore

    with HybridStore(existing_root(root)) as store:
        found = store.books.positions(
            account, at=at, symbol=symbol, status="all" if all_ else "open", max_price_age_s=max_price_age_s
        )
    columns = PositionAt.__struct_fields__
    rows = [tuple(position.values()) for position in found]
    print_answer(
        found, columns, rows, lambda console: _show(found, console), json=json, csv=csv, output=output
    )


def _show(found: tuple[PositionAt, ...], console: Console) -> None:
    if not found:
        console.print("no positions")
        return
    shown = list(_SHOWN)
    if any(position.status == "CLOSED" for position in found):
        shown.insert(2, "status")
    if len({position.account for position in found}) > 1:
        shown.insert(0, "account")
    rows = [[position[name] for name in shown] for position in found]
    print_table(console, None, [name.replace("_", " ") for name in shown], rows)
    for symbol in dict.fromkeys(position.symbol for position in found if position.unrealized_pnl is None):
        warn(console, f"{symbol} has no price: its unrealised profit is not known")
