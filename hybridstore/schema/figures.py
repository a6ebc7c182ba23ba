"""Figures of an account: snapshots of its equity, sums by hour and day, measures of performance."""

from __future__ import annotations

from hybridstore.schema.dataset import Column, Dataset, Tiering
from hybridstore.schema.types import LogicalType

_TIME, _NAME, _INTEGER, _RATIO = (
    LogicalType.TIMESTAMP,
    LogicalType.NAME,
    LogicalType.INTEGER,
    LogicalType.RATIO,
)

_ACCOUNT = Column("account", _NAME, "Whose it is, for example kraken/main.")
_RECORDED_AT = Column("recorded_at", _TIME, "When the store took it, from the commit clock.")


def _money(name: str, doc: str, *, nullable: bool = False) -> Column:
    return Column(name, LogicalType.MONEY, doc, nullable=nullable)


def _time(name: str, doc: str) -> Column:
    return Column(name, _TIME, doc)


def _name(name: str, doc: str) -> Column:
    return Column(name, _NAME, doc)


PORTFOLIO_SNAPSHOTS = Dataset(
    name="portfolio_snapshots",
    kind="event",
    doc="The equity of an account at one moment.",
    columns=(
        _ACCOUNT,
        _name("base_currency", "What everything is priced in."),
        _time("taken_at", "When."),
        _money("equity", "Cash + positions' value, in the base currency; of what has a price, see unpriced."),
        _money("cash", "Priced balances."),
        _money(
            "positions_value", "Unrealised profit of contracts, and spot positions that no balance holds."
        ),
        _money("unrealized", "Unrealised profit of all open positions."),
        _money(
            "realized_cumulative", "Realised so far, gross; null where a part has no price.", nullable=True
        ),
        _money("fees_cumulative", "Fees so far; null where a part has no price.", nullable=True),
        _money("funding_cumulative", "Funding so far; null where a part has no price.", nullable=True),
        _money(
            "net_flow", "Deposits - withdrawals recorded since the snapshot recorded before, at these prices."
        ),
        Column(
            "unpriced",
            LogicalType.JSON,
            "List of assets and markets without a price, which the equity lacks; null when it is whole.",
            nullable=True,
        ),
        _RECORDED_AT,
    ),
    key=("account", "base_currency", "taken_at"),
    tiering=Tiering(time="taken_at", cluster=("account", "base_currency", "taken_at")),
)

PORTFOLIO_EQUITY = Dataset(
    name="portfolio_equity",
    kind="state",
    doc="The latest equity of an account in a base currency, and which flows its snapshots have counted.",
    columns=(
        _ACCOUNT,
        _name("base_currency", "What everything is priced in."),
        _time("taken_at", "When the latest snapshot was taken."),
        _money("equity", "Its equity."),
        Column(
            "unpriced",
            LogicalType.JSON,
            "List of what its equity lacks for want of a price; null when it is whole.",
            nullable=True,
        ),
        Column(
            "flows",
            LogicalType.JSON,
            "By asset: deposits - withdrawals that some net_flow has counted, in units of the asset.",
        ),
        _RECORDED_AT,
    ),
    key=("account", "base_currency"),
)


def _aggregate(name: str, length: str) -> Dataset:
    return Dataset(
        name=name,
        kind="aggregate",
        doc=f"An account's activity by {length} in one currency, and its equity in the currency that is kept in; "
        "computed in the transaction that changes it.",
        columns=(
            _ACCOUNT,
            _name("currency", "What the amounts are in; nothing is converted."),
            _time("period", f"Start of the {length}, UTC."),
            _money(
                "equity_open",
                "First equity; null where no whole one was taken in this currency.",
                nullable=True,
            ),
            _money("equity_high", "Highest equity.", nullable=True),
            _money("equity_low", "Lowest equity.", nullable=True),
            _money("equity_close", "Last equity.", nullable=True),
            _money("net_flow", "Deposits - withdrawals, transfers with their sign."),
            _money("realized", "Realised by fills, gross of fees."),
            _money("funding", "Funding received (+) or paid (-)."),
            _money("fees", "Fees less rebates."),
            _money("other", "Interest, liquidation costs and adjustments, with their sign."),
            _money("volume", "Sum of quote amounts."),
            Column("trade_count", _INTEGER, "Fills."),
            _RECORDED_AT,
        ),
        key=("account", "currency", "period"),
    )


PORTFOLIO_HOURLY = _aggregate("portfolio_hourly", "hour")
PORTFOLIO_DAILY = _aggregate("portfolio_daily", "day")

PERFORMANCE_METRICS = Dataset(
    name="performance_metrics",
    kind="event",
    doc="A computed figure with the definition it was computed by.",
    columns=(
        _name("scope", "Account, strategy, bot or symbol it is of."),
        _name("period", "The time it covers."),
        _name("benchmark", "What it is compared with, or '-'."),
        _name("metric", "Which figure."),
        _name("definition", "Version of the definition."),
        Column("value", _RATIO, "The figure.", nullable=True),
        Column("annualisation", _INTEGER, "Periods a year.", nullable=True),
        Column("risk_free", _RATIO, "Annual risk-free rate.", nullable=True),
        Column("observations", _INTEGER, "How many returns it is of."),
        _RECORDED_AT,
    ),
    key=("scope", "period", "benchmark", "metric", "definition"),
)

FIGURES = (PORTFOLIO_SNAPSHOTS, PORTFOLIO_EQUITY, PORTFOLIO_HOURLY, PORTFOLIO_DAILY, PERFORMANCE_METRICS)
