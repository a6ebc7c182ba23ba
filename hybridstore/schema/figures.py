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
        _time("taken_at", "When."),
        _money("equity", "Cash + positions' value, in the base currency."),
        _money("cash", "Priced balances."),
        _money("positions_value", "Unrealised profit of contracts."),
        _money("unrealized", "Unrealised profit of all open positions."),
        _money("realized_cumulative", "Realised so far, gross."),
        _money("fees_cumulative", "Fees so far."),
        _money("funding_cumulative", "Funding so far."),
        _money("net_flow", "Deposits - withdrawals since the snapshot before."),
        _name("base_currency", "What everything is priced in."),
        _RECORDED_AT,
    ),
    key=("account", "taken_at"),
    tiering=Tiering(time="taken_at", cluster=("account", "taken_at")),
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
            _money("equity_open", "First equity; null where none was taken in this currency.", nullable=True),
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

FIGURES = (PORTFOLIO_SNAPSHOTS, PORTFOLIO_HOURLY, PORTFOLIO_DAILY, PERFORMANCE_METRICS)
