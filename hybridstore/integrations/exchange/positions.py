"""Positions as an exchange reports them: the terms of those in the books, and where the two part."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from hybridstore.hot.position_rows import Position
from hybridstore.integrations.exchange.job import Job
from hybridstore.integrations.exchange.steps import Ask, Steps, Write, is_a
from hybridstore.integrations.exchange.unified import figure, moment_us
from hybridstore.schema.types import to_decimal

_SIDES = {"long": "LONG", "short": "SHORT"}
_TERMS = {"leverage": "leverage", "margin_mode": "marginMode", "liquidation_price": "liquidationPrice"}


def positions(job: Job) -> Steps[None]:
    """Read open positions.

    A position whose fills were never read is opened as the exchange tells it. Of one in the books the terms and the
    mark are taken, and an amount that differs is a difference: amounts follow from fills.

    Args:
        job: The reading.
    """
    try:
        rows = yield Ask("fetch_positions")
    except Exception as error:
        if not is_a(error, "ArgumentsRequired"):
            raise
        rows = yield Ask("fetch_positions", (list(job.symbols),))
    told: dict[tuple[str, str], Decimal] = {}
    for row in rows:
        side, contracts = _SIDES.get(str(row.get("side"))), figure(row.get("contracts"), "contracts")
        if side is None or contracts is None or not to_decimal(contracts, "contracts"):
            continue
        told[row["symbol"], side] = to_decimal(contracts, "contracts").copy_abs()
        yield from job.put("positions", row["symbol"], [row], partial(_writes, job, side))
    for position in job.desk.get_open_positions(job.account):
        is_told = (position.symbol, position.side) in told
        if not is_told and job.market(position.symbol).get("contract"):
            _differ(job, position.symbol, position.side, Decimal(0))
    for (symbol, side), amount in told.items():
        _differ(job, symbol, side, amount)


def _held(job: Job, symbol: str, side: str) -> list[Position]:
    held = job.desk.get_open_positions(job.account)
    return [position for position in held if (position.symbol, position.side) == (symbol, side)]


def _writes(job: Job, side: str, row: Mapping[str, Any]) -> list[Write]:
    symbol = row["symbol"]
    held = _held(job, symbol, side)
    terms = {name: _term(row, key) for name, key in _TERMS.items()}
    mark = figure(row.get("markPrice"), "markPrice")
    marks = []
    if mark is not None and to_decimal(mark, "markPrice") > 0:
        marks.append(
            Write("record_mark", (symbol,), {"mark": mark, "marked_at": moment_us(row.get("timestamp"))})
        )
    writes = []
    if held:
        for position in held:
            changed = {
                name: value for name, value in terms.items()
                if value is not None and _differs(value, getattr(position, name))
            }  # fmt: skip
            if changed:
                writes.append(Write("adjust_position", (position.position_id,), changed))
    elif not job.has_read("trades", symbol):
        return [_opened(job, row, side, terms), *marks]
    return [*marks, *writes]  # new terms are of the commit's moment, and no older price is taken after them


def _opened(job: Job, row: Mapping[str, Any], side: str, terms: Mapping[str, str | None]) -> Write:
    symbol, at_ms = row["symbol"], row.get("timestamp")
    size = figure(row.get("contractSize") or job.market(symbol).get("contractSize"), "contractSize")
    contracts = figure(row.get("contracts"), "contracts")
    details = {
        **job.tags,
        **terms,
        "contract_size": size or 1,
        "opened_at": moment_us(at_ms),
    }
    position_id = f"{job.exchange_id}:{job.account}:{symbol}:{side}:{at_ms or job.now_ms}"
    price = figure(row.get("entryPrice"), "entryPrice")
    return Write("create_position", (position_id, symbol, side, str(contracts).lstrip("-"), price), details)


def _term(row: Mapping[str, Any], key: str) -> str | None:
    value = row.get(key)
    if key == "marginMode":
        return value if value in {"cross", "isolated"} else None
    found = figure(value, key)
    return found if found is not None and to_decimal(found, key) else None


def _differs(value: str, known: object) -> bool:
    return to_decimal(value, "term") != known if isinstance(known, Decimal) else value != known


def _differ(job: Job, symbol: str, side: str, told: Decimal) -> None:
    amount = sum((position.amount for position in _held(job, symbol, side)), Decimal(0))
    if amount != told:
        job.problem(
            "differences", "positions", symbol,
            f"{side} {told:f} at {job.exchange_id}, {amount:f} in the store: fills are missing, or are older than what "
            "was read (since=)",
        )  # fmt: skip
