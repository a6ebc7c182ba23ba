"""What rows of a file can become: which columns there are to fill, which are needed, and what exports call them."""

from __future__ import annotations

from hybridstore.errors import UnknownDataset
from hybridstore.records import Record
from hybridstore.schema.registry import Registry
from hybridstore.schema.types import LogicalType

_FILL = ("account", "symbol", "side", "price", "amount", "trade_id", "order_id", "fee", "fee_currency", "liquidity",
         "contract_size", "quote_amount", "realized_pnl_exchange", "strategy", "bot", "position_id", "position_side",
         "executed_at")  # fmt: skip
_FUNDING = ("account", "symbol", "amount", "asset", "funding_id", "position_id", "position_side", "strategy", "bot",
            "occurred_at")  # fmt: skip
_BALANCE = ("account", "asset", "balance", "hold_trade", "available", "debt", "source", "changed_at")
_LATE = {"recorded_at"}


class Target(Record, frozen=True, gc=False):
    """What a row becomes.

    Attributes:
        name: A dataset, or funding.
        call: The call of the store's desk that records it.
        columns: What can be filled.
        needed: What must be.
        time: The column that orders the rows; empty where there is none.
        times: Columns that are times.
        own_id: The column that is made up from the row where the file has none; empty where there is none.
    """

    name: str
    call: str
    columns: tuple[str, ...]
    needed: tuple[str, ...]
    time: str
    times: tuple[str, ...]
    own_id: str


_OWN_CALLS = (
    Target("trades", "record_fill", _FILL, ("symbol", "side", "price", "amount", "executed_at"), "executed_at",
           ("executed_at",), "trade_id"),
    Target("funding", "record_funding", _FUNDING, ("symbol", "amount", "occurred_at"), "occurred_at",
           ("occurred_at",), ""),
    Target("balances", "batch_update_balances", _BALANCE, ("asset", "balance", "changed_at"), "changed_at",
           ("changed_at",), ""),
)  # fmt: skip
_KEPT_BY_OTHERS = ("balance_history", "positions", "position_events", "order_events", "corrections")


def target_of(dataset: str, registry: Registry) -> Target:
    """Say what rows of a dataset need.

    Args:
        dataset: Its name, or funding.
        registry: The store's datasets.

    Returns:
        What they need.

    Raises:
        UnknownDataset: There is none of that name whose rows can be imported.
    """
    for target in _OWN_CALLS:
        if target.name == dataset:
            return target
    public = {name for name in registry.public if name not in _KEPT_BY_OTHERS}
    if dataset not in public:
        names = ", ".join(sorted({*public, "funding"}))
        raise UnknownDataset(f"dataset={dataset!r}: no rows of it can be imported", hint=f"one of {names}")
    declared = registry[dataset]
    columns = [column for column in declared.columns if column.name not in _LATE]
    times = tuple(column.name for column in columns if column.type is LogicalType.TIMESTAMP)
    optional = {"account", "filled", "entry_id"}
    needed = tuple(column.name for column in columns if not column.nullable and column.name not in optional)
    call = "record_order" if dataset == "orders" else "insert"
    if dataset == "orders":
        needed = tuple(name for name in needed if name != "updated_at")
    time = declared.tiering.time if declared.tiering is not None else (times[0] if times else "")
    own_id = "entry_id" if dataset == "ledger" else ""
    return Target(dataset, call, tuple(column.name for column in columns), needed, time, times, own_id)


CALLED = {
    "account": ("accountname", "subaccount"),
    "symbol": ("pair", "market", "instrument", "ticker", "contract", "currencypair", "tradingpair"),
    "side": ("direction", "tradetype", "buysell"),
    "price": ("rate", "tradeprice", "fillprice", "executionprice", "avgprice", "executedprice"),
    "amount": ("quantity", "qty", "size", "executed", "vol", "volume", "baseamount", "filledqty", "change"),
    "trade_id": ("id", "tradeid", "txid", "execid", "executionid", "fillid", "dealid"),
    "order_id": ("orderid", "ordertxid", "orderno", "ordernumber", "order"),
    "fee": ("commission", "fees", "tradingfee", "feeamount", "feecost"),
    "fee_currency": ("feecurrency", "feecoin", "feeasset", "commissionasset", "feetoken"),
    "quote_amount": ("cost", "total", "quoteqty", "quoteamount", "value", "turnover"),
    "liquidity": ("role", "takerormaker", "makertaker", "liquiditytype"),
    "executed_at": ("time", "date", "datetime", "timestamp", "dateutc", "executiontime", "tradetime", "createdat"),
    "occurred_at": ("time", "date", "datetime", "timestamp", "dateutc", "utctime", "createdat"),
    "opened_at": ("time", "date", "datetime", "timestamp", "opentime", "unix"),
    "traded_at": ("time", "date", "datetime", "timestamp"),
    "changed_at": ("time", "date", "datetime", "timestamp"),
    "created_at": ("time", "date", "datetime", "timestamp", "createtime", "ordertime"),
    "updated_at": ("updatetime", "lastupdate", "lastupdatetime"),
    "asset": ("currency", "coin", "code", "token"),
    "balance": ("total", "walletbalance", "equity"),
    "hold_trade": ("used", "locked", "hold", "frozen", "inorder"),
    "available": ("free", "availablebalance"),
    "entry_id": ("id", "ledgerid", "transactionid", "txid", "refid"),
    "reference": ("reference", "ref", "referenceid", "hash"),
    "type": ("operation", "ordertype", "kind", "transactiontype"),
    "timeframe": ("interval", "resolution"),
    "volume": ("vol", "basevolume", "volumebase"),
    "open": ("o", "openprice"), "high": ("h", "highprice"), "low": ("l", "lowprice"), "close": ("c", "closeprice"),
    "filled": ("executed", "executedqty", "filledqty", "filledamount"),
    "average": ("avgprice", "averageprice"),
    "status": ("state", "orderstatus"),
    "strategy": ("strategyname",),
    "bot": ("botname",),
}  # fmt: skip
"""What exports call our columns, without spaces, signs and capitals."""
