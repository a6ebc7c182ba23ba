"""The bot's own books: balances, positions, orders, fills, ledger."""

from __future__ import annotations

from hybridstore.schema.dataset import Column, Dataset, Index, Tiering
from hybridstore.schema.types import LogicalType

_MONEY, _TIME, _NAME = LogicalType.MONEY, LogicalType.TIMESTAMP, LogicalType.NAME
_TEXT, _JSON, _INTEGER, _BOOLEAN = (
    LogicalType.TEXT,
    LogicalType.JSON,
    LogicalType.INTEGER,
    LogicalType.BOOLEAN,
)

_ACCOUNT = Column("account", _NAME, "Whose it is, for example kraken/main.")
_RECORDED_AT = Column("recorded_at", _TIME, "When the store took it, from the commit clock.")
_SYMBOL = Column("symbol", _NAME, "Market in unified form: BTC/USDT, BTC/USDT:USDT, BTC/USD:BTC.")
_STRATEGY = Column("strategy", _NAME, "The strategy that acted.", nullable=True)
_BOT = Column("bot", _NAME, "The bot that acted.", nullable=True)
TERMINAL_ORDER_STATUSES = ("closed", "canceled", "expired", "rejected")


def _money(name: str, doc: str, *, nullable: bool = False) -> Column:
    return Column(name, _MONEY, doc, nullable=nullable)


def _time(name: str, doc: str, *, nullable: bool = False) -> Column:
    return Column(name, _TIME, doc, nullable=nullable)


def _name(name: str, doc: str, *, nullable: bool = False) -> Column:
    return Column(name, _NAME, doc, nullable=nullable)


BALANCES = Dataset(
    name="balances",
    kind="state",
    doc="The latest balance of an asset; it stays right after all history of the asset has been archived.",
    columns=(
        _ACCOUNT,
        _name("asset", "The asset, for example USDT."),
        _money("balance", "Total held, in units of the asset: as told, else available + hold_trade."),
        _money(
            "hold_trade",
            "Held back for open orders: as told, else balance - available; null where unknown.",
            nullable=True,
        ),
        _money("available", "Free: as told, else balance - hold_trade; null where unknown.", nullable=True),
        _money("debt", "Borrowed; null where nobody told.", nullable=True),
        Column(
            "told",
            _TEXT,
            "What the source told, of total, free, used, debt, separated by spaces; the rest follows.",
        ),
        Column("source", _TEXT, "Where the figure came from, for example websocket."),
        _time("updated_at", "The moment the figure is of."),
        _RECORDED_AT,
    ),
    key=("account", "asset"),
)

BALANCE_HISTORY = Dataset(
    name="balance_history",
    kind="event",
    doc="A balance as it was reported at one moment.",
    columns=(
        _ACCOUNT,
        _name("asset", "The asset."),
        _money(
            "balance",
            "Total held, in units of the asset: as told, else available + hold_trade; null where neither "
            "a total nor what is available was told.",
            nullable=True,
        ),
        _money(
            "hold_trade",
            "Held back for open orders: as told, else balance - available; null where unknown.",
            nullable=True,
        ),
        _money("available", "Free: as told, else balance - hold_trade; null where unknown.", nullable=True),
        _money("debt", "Borrowed; null where nobody told.", nullable=True),
        Column(
            "told",
            _TEXT,
            "What the source told, of total, free, used, debt, separated by spaces; the rest follows.",
        ),
        _money(
            "change", "balance minus the one before; null for the first and for one told late.", nullable=True
        ),
        _money(
            "change_percentage", "100 * change / previous, 8 places half even; null from zero.", nullable=True
        ),
        Column("reason", _TEXT, "Why it changed.", nullable=True),
        Column("source", _TEXT, "Where the figure came from."),
        Column("sync_status", _TEXT, "What the caller said of its synchronisation.", nullable=True),
        Column("reported", _JSON, "What else the source told, as staked or interest.", nullable=True),
        _time("changed_at", "The moment the figure is of."),
        _time("exchange_at", "The exchange's own time.", nullable=True),
        _RECORDED_AT,
    ),
    indexes=(Index(("changed_at", "asset")),),
    tiering=Tiering(time="changed_at", cluster=("account", "asset", "changed_at", "id"), symbol="asset"),
)

POSITIONS = Dataset(
    name="positions",
    kind="state",
    doc="A position; once closed it moves with the day it was closed on.",
    columns=(
        _name("position_id", "The caller's or a generated id, unique in the store."),
        _ACCOUNT,
        _SYMBOL,
        Column("side", _NAME, "Direction.", choices=("LONG", "SHORT")),
        Column("status", _NAME, "Life cycle.", choices=("OPEN", "CLOSED")),
        _money("amount", "Units of the base asset, or contracts; never negative."),
        _money("entry_price", "Average entry, 18 places half even; entry_cost is exact."),
        _money("entry_cost", "Exact cost of what is open: quote (linear) or base (inverse)."),
        _money("mark_price", "Last mark.", nullable=True),
        _money("contract_size", "Units of the base asset (linear) or quote (inverse) a contract."),
        Column("inverse", _BOOLEAN, "Whether profit is in the base asset."),
        _money("leverage", "Leverage.", nullable=True),
        Column("margin_mode", _NAME, "Margin mode.", nullable=True, choices=("cross", "isolated")),
        _money("liquidation_price", "Where the exchange would liquidate.", nullable=True),
        _money("realized_pnl", "Realised, gross of fees and funding, in the settle asset."),
        _money("fees", "Fees paid, in the quote asset; rebates are negative."),
        _money("funding", "Funding received (+) or paid (-)."),
        _money("peak_amount", "Largest amount it ever had."),
        _money("max_favourable", "Largest unrealised profit seen (MFE)."),
        _money("max_adverse", "Largest unrealised loss seen (MAE), not positive."),
        _time("opened_at", "When it was opened."),
        _time("updated_at", "When it last changed."),
        _time("closed_at", "When it was closed.", nullable=True),
        Column("close_reason", _TEXT, "Why it was closed.", nullable=True),
        Column("event_seq", _INTEGER, "Number of its last position event."),
        _STRATEGY,
        _BOT,
        _RECORDED_AT,
    ),
    key=("position_id",),
    indexes=(
        Index(("account", "symbol"), where="status = 'OPEN'"),
        Index(("symbol",), where="status = 'OPEN'"),
    ),
    tiering=Tiering(
        time="closed_at",
        cluster=("account", "symbol", "closed_at", "id"),
        when=("status", ("CLOSED",)),
        symbol="symbol",
    ),
)

POSITION_EVENTS = Dataset(
    name="position_events",
    kind="event",
    doc="One change of a position. The position at any moment is the sum of its changes until then.",
    columns=(
        _name("position_id", "The position."),
        Column("seq", _INTEGER, "1 for the first event of the position."),
        _ACCOUNT,
        _SYMBOL,
        Column(
            "kind",
            _NAME,
            "What happened.",
            choices=("open", "increase", "reduce", "close", "flip", "mark", "funding", "liquidate", "adjust"),
        ),
        _money("amount_delta", "Change of the amount."),
        _money("price", "At which price; null where it has none, as funding.", nullable=True),
        _money("amount_after", "Amount afterwards, as it was recorded."),
        _money("entry_after", "Average entry afterwards, as it was recorded."),
        _money("realized_delta", "Realised by it, gross."),
        _money("cost_delta", "Change of the exact cost of what is open."),
        _money("fees_delta", "Fees of it, in quote."),
        _money("funding_delta", "Funding of it, received (+) or paid (-)."),
        _name("trade_id", "The fill that caused it.", nullable=True),
        _name("order_id", "The order of that fill, as the trade has it.", nullable=True),
        _time("occurred_at", "When."),
        _RECORDED_AT,
    ),
    key=("position_id", "seq"),
    indexes=(Index(("trade_id",), where="trade_id IS NOT NULL"),),  # what a corrected fill has to undo
    tiering=Tiering(
        time="occurred_at",
        cluster=("account", "symbol", "position_id", "seq"),
        symbol="symbol",
        settled_time=True,
    ),
)

ORDERS = Dataset(
    name="orders",
    kind="state",
    doc="An order in its present state; once terminal it moves with the day of its last update.",
    columns=(
        _ACCOUNT,
        _SYMBOL,
        _name("order_id", "The exchange's id."),
        _name("client_order_id", "The bot's id.", nullable=True),
        Column("side", _NAME, "Direction.", choices=("buy", "sell")),
        _name("type", "limit, market, ..."),
        _name("time_in_force", "GTC, IOC, ...", nullable=True),
        Column("status", _NAME, "Life cycle.", choices=("open", *TERMINAL_ORDER_STATUSES)),
        _money("price", "Limit price.", nullable=True),
        _money("trigger_price", "Trigger.", nullable=True),
        _money("amount", "Ordered."),
        _money("filled", "Filled so far."),
        _money("average", "Average fill price.", nullable=True),
        _money("cost", "Filled in quote.", nullable=True),
        Column("reduce_only", _BOOLEAN, "Only reduces.", nullable=True),
        Column("post_only", _BOOLEAN, "Only adds liquidity.", nullable=True),
        _time("created_at", "When the exchange took it.", nullable=True),
        _time("updated_at", "When it last changed."),
        _time("last_trade_at", "When it was last filled.", nullable=True),
        _STRATEGY,
        _BOT,
        _RECORDED_AT,
    ),
    key=("account", "symbol", "order_id"),
    indexes=(Index(("account", "symbol"), where="status = 'open'"),),
    tiering=Tiering(
        time="updated_at",
        cluster=("account", "symbol", "updated_at", "id"),
        when=("status", TERMINAL_ORDER_STATUSES),
        symbol="symbol",
    ),
)

ORDER_EVENTS = Dataset(
    name="order_events",
    kind="event",
    doc="The state of an order as it was reported at one moment: its life cycle.",
    columns=(
        _ACCOUNT,
        _SYMBOL,
        _name("order_id", "The order."),
        Column("status", _NAME, "Life cycle.", choices=("open", *TERMINAL_ORDER_STATUSES)),
        _money("price", "Limit price.", nullable=True),
        _money("amount", "Ordered."),
        _money("filled", "Filled so far."),
        _money("average", "Average fill price.", nullable=True),
        _money("cost", "Filled in quote.", nullable=True),
        _time("occurred_at", "When it was in this state, by the report."),
        _STRATEGY,
        _BOT,
        _RECORDED_AT,
    ),
    key=("account", "symbol", "order_id", "occurred_at", "status", "filled"),
    tiering=Tiering(time="occurred_at", cluster=("account", "symbol", "occurred_at", "id"), symbol="symbol"),
)

TRADES = Dataset(
    name="trades",
    kind="event",
    doc="One of the bot's own fills.",
    columns=(
        _ACCOUNT,
        _SYMBOL,
        _name("trade_id", "The exchange's id, or a generated one (see synthetic_id)."),
        _name("order_id", "The order it filled; '-' where the exchange named none."),
        Column(
            "synthetic_id",
            _BOOLEAN,
            "Whether trade_id is not the exchange's own: generated here, or made up by an importer.",
        ),
        Column("side", _NAME, "Direction.", choices=("buy", "sell")),
        _money("price", "Price in quote."),
        _money("amount", "Units of base, or contracts; 0 where the fill was voided."),
        _money("contract_size", "Units a contract; 1 for spot."),
        _money("quote_amount", "Exact price * amount * contract_size (inverse: amount * contract_size)."),
        _money("fee", "Fee in fee_currency; a rebate is negative.", nullable=True),
        _name("fee_currency", "The fee's asset.", nullable=True),
        _money("fee_in_quote", "Fee in the quote asset where that is known.", nullable=True),
        Column("fees", _JSON, "All fees as [{currency, cost}] when more than one.", nullable=True),
        Column("liquidity", _NAME, "Whether it made or took.", nullable=True, choices=("maker", "taker")),
        _money("realized_pnl", "Realised by it, gross of fees, in the profit asset.", nullable=True),
        _money("net_pnl", "realized_pnl less its fees; null where one is in another asset.", nullable=True),
        _money("realized_pnl_exchange", "What the exchange says it realised.", nullable=True),
        _name("position_id", "The position it changed.", nullable=True),
        Column(
            "position_side",
            _NAME,
            "Side of a hedge it was for; null where the account holds one position a market.",
            nullable=True,
            choices=("LONG", "SHORT"),
        ),
        Column("liquidation", _BOOLEAN, "Whether the exchange forced it."),
        _STRATEGY,
        _BOT,
        _time("executed_at", "When it was executed."),
        Column("info", _JSON, "The exchange's own record.", nullable=True),
        _RECORDED_AT,
    ),
    key=("account", "symbol", "trade_id", "order_id"),
    indexes=(Index(("account", "symbol", "executed_at")),),
    tiering=Tiering(time="executed_at", cluster=("account", "symbol", "executed_at", "id"), symbol="symbol"),
)

LEDGER = Dataset(
    name="ledger",
    kind="event",
    doc="One signed change of an asset; opening balances plus these are the balances.",
    columns=(
        _ACCOUNT,
        _name("entry_id", "Unique in the account."),
        Column(
            "type",
            _NAME,
            "What it was.",
            choices=(
                "deposit",
                "withdrawal",
                "transfer",
                "trade",
                "fee",
                "rebate",
                "funding",
                "interest",
                "liquidation",
                "adjust",
            ),
        ),
        _name("asset", "The asset."),
        _money("amount", "Signed units of the asset; 0 where it was voided."),
        _name("reference", "What it belongs to: a fill, a position, a transfer.", nullable=True),
        _time("occurred_at", "When."),
        _RECORDED_AT,
    ),
    key=("account", "entry_id"),
    tiering=Tiering(time="occurred_at", cluster=("account", "asset", "occurred_at", "id"), symbol="asset"),
)

LEDGER_BALANCES = Dataset(
    name="ledger_balances",
    kind="state",
    doc="What the ledger says is held of an asset: the sum of its entries, archived ones included.",
    columns=(
        _ACCOUNT,
        _name("asset", "The asset."),
        _money("amount", "Sum of all entries, in units of the asset; opening balances are not in it."),
        Column("entries", _INTEGER, "How many entries there are, voided ones included."),
        _time("updated_at", "The moment of the entry that was recorded last."),
        _RECORDED_AT,
    ),
    key=("account", "asset"),
)

BOOKS = (
    BALANCES,
    BALANCE_HISTORY,
    POSITIONS,
    POSITION_EVENTS,
    ORDERS,
    ORDER_EVENTS,
    TRADES,
    LEDGER,
    LEDGER_BALANCES,
)
