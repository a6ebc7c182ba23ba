"""Lots of a hundred thousand fills: each method, all side by side, and the whole question to a store.

Guards (A6): the lots of 100 000 fills take <= 2 s by every one of the four methods; and all that was sold, the fees in
base included, is disposed of by each of them, to the last decimal (checked in every run). The whole question to a store
keeps the same limit, reading the fills from their archive included; the process that asks stays below 400 MB, imports
and engine included. Four methods at once keep four times the disposals, about a kilobyte each.

What stands under "raw" is the shortest loop there is: FIFO in plain Python on floats, a deque and no records. It says
what exactness, fees and a record of every disposal cost.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import NamedTuple

from benchmarks.figures import Figure, Limit, Size, main
from benchmarks.resident import NO_FIGURE, resident_bytes
from benchmarks.timing import Paired, Stopwatch
from hybridstore.archive.writing import Target, write_archive
from hybridstore.clock import DAY_US
from hybridstore.portfolio.lots import compute_lots
from hybridstore.portfolio.lots_records import METHODS, LotFill, make_lot_fill
from hybridstore.portfolio.money import multiply, total
from hybridstore.portfolio.symbols import parse_symbol
from hybridstore.schema.books import TRADES
from hybridstore.schema.types import moment
from hybridstore.store import HybridStore

FILLS = {"small": 1_000, "full": 100_000}
ROUNDS = {"small": 1, "full": 5}
SECONDS_MAX = 2.0
PEAK_MB_MAX = 400.0
POINT = "A6"
SEED = 20_261_123
SYMBOL = "BTC/USDT"
_FIRST_DAY = 18_993
"""2022-01-01: the fills are five years' of trading."""
_YEARS_US = 5 * 365 * DAY_US
_MB = 1_000_000
_ASK = "--ask"
_REPOSITORY = Path(__file__).resolve().parent.parent


class Traded(NamedTuple):
    """A fill as it is drawn: amounts have eight places, prices two, the fee is a thousandth of the cost."""

    number: int
    side: str
    price: Decimal
    amount: Decimal
    fee: Decimal
    executed_us: int


def measure(size: Size) -> list[Figure]:
    """Measure the methods by themselves, side by side, and through a store.

    Args:
        size: small or full.

    Returns:
        Seconds, and the peak of a process that asks.
    """
    traded = list(_traded(FILLS[size]))
    fills = [_lot_fill(one) for one in traded]
    floats = [(one.side == "buy", float(one.price), float(one.amount), float(one.fee)) for one in traded]
    figures = [_method(method, fills, floats, ROUNDS[size]) for method in METHODS]
    figures.append(_side_by_side(fills, floats, ROUNDS[size]))
    with tempfile.TemporaryDirectory(prefix="hybridstore-bench-") as folder:
        _archive(Path(folder), traded)
        figures.append(_asking(Path(folder), len(traded), ROUNDS[size]))
        figures += _peak(Path(folder))
    return figures


def _traded(count: int) -> Iterator[Traded]:
    """Draw fills: sales are never beyond what is held, about half of the fills are sales."""
    random = Random(SEED)
    held = 0
    price = 6_000_000
    for number in range(count):
        units = random.randrange(1, 10**7)
        side = "buy" if held < units or random.random() < 0.5 else "sell"
        held += units if side == "buy" else -units
        price = max(price + random.randrange(-5_000, 5_001), 100_000)
        amount, quoted = Decimal(units).scaleb(-8), Decimal(price).scaleb(-2)
        fee = multiply(multiply(amount, quoted), Decimal("0.001"))
        executed_us = _FIRST_DAY * DAY_US + number * (_YEARS_US // count)
        yield Traded(number, side, quoted, amount, fee, executed_us)


def _lot_fill(one: Traded) -> LotFill:
    return make_lot_fill(
        parse_symbol(SYMBOL), one.side, one.price, one.amount, [("USDT", one.fee)], trade_id=str(one.number),
        order_id="-", executed_us=one.executed_us, quote_amount=multiply(one.price, one.amount),
    )  # fmt: skip


def _method(
    method: str, fills: list[LotFill], floats: list[tuple[bool, float, float, float]], rounds: int
) -> Figure:
    sold = total(one.fill.amount for one in fills if one.fill.side == "sell")
    bought = total(one.fill.cost for one in fills if one.fill.side == "buy" and one.fill.cost is not None)
    pairs = Paired()
    for _ in range(rounds):
        with Stopwatch() as ours:
            disposals, lots = compute_lots(SYMBOL, fills, method)
        with Stopwatch() as plain:
            gain = _fifo_in_floats(floats)
        assert total(one.amount for one in disposals) == sold
        costs = [one.cost for one in disposals if one.cost is not None] + [lot.entry_cost for lot in lots]
        assert total(costs) == bought
        if method == "FIFO":
            exact = total(one.gain_net for one in disposals if one.gain_net is not None)
            assert abs(float(exact) - gain) <= 1e-6 * abs(gain)
        pairs.add(ours.elapsed_s, plain.elapsed_s)
    return Figure(
        name=f"lots by {method}",
        unit="s",
        ours=pairs.least[0],
        raw=pairs.least[1],
        ratio=pairs.ratio,
        limits=(Limit(of="ours", at_most=SECONDS_MAX),),
        point=POINT,
        note=f"{len(fills):,} fills, {len(disposals):,} disposals; raw: FIFO on floats",
    )


def _fifo_in_floats(fills: list[tuple[bool, float, float, float]]) -> float:
    """Gain of FIFO after fees, as one would write it for oneself."""
    lots: deque[list[float]] = deque()
    gain = 0.0
    for buys, price, amount, fee in fills:
        if buys:
            lots.append([amount, price + fee / amount])
            continue
        gain += amount * price - fee
        left = amount
        while left > 0 and lots:
            lot = lots[0]
            part = min(left, lot[0])
            gain -= part * lot[1]
            left -= part
            lot[0] -= part
            if lot[0] <= 0:
                lots.popleft()
    return gain


def _side_by_side(
    fills: list[LotFill], floats: list[tuple[bool, float, float, float]], rounds: int
) -> Figure:
    pairs = Paired()
    for _ in range(rounds):
        with Stopwatch() as ours:
            disposals, _ = compute_lots(SYMBOL, fills)
        with Stopwatch() as plain:
            _fifo_in_floats(floats)
        pairs.add(ours.elapsed_s, plain.elapsed_s)
    return Figure(
        name="lots by all four methods",
        unit="s",
        ours=pairs.least[0],
        raw=pairs.least[1],
        ratio=pairs.ratio,
        note=f"{len(disposals):,} disposals; raw: FIFO on floats, once",
    )


def _archive(root: Path, traded: list[Traded]) -> None:
    """Put the fills straight into the archive: how they got there is measured elsewhere."""
    import pyarrow as pa

    from hybridstore.schema.arrow import arrow_schema

    rows = [
        {
            "id": one.number + 1, "account": "default", "symbol": SYMBOL, "trade_id": str(one.number), "order_id": "-",
            "synthetic_id": False, "liquidation": False, "side": one.side, "price": one.price, "amount": one.amount,
            "contract_size": Decimal(1), "quote_amount": multiply(one.price, one.amount), "fee": one.fee,
            "fee_currency": "USDT", "fee_in_quote": one.fee, "executed_at": moment(one.executed_us),
            "recorded_at": moment(one.executed_us),
        }
        for one in traded
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=arrow_schema(TRADES))
    with HybridStore(root) as store:
        start_us = _FIRST_DAY * DAY_US
        target = Target("benchlots", "frozen", start_us, start_us + _YEARS_US, 1)
        file = write_archive(store.root, TRADES, table, target, lambda _step: None)
        row = file.as_row()
        store.database.writer.call(
            lambda session: session.executemany(session.sql["insert_archive_files"], [row])
        )


def _asking(root: Path, count: int, rounds: int) -> Figure:
    times = []
    with HybridStore(root) as store:
        for number in range(rounds + 1):
            with Stopwatch() as watch:
                lots = store.books.lots()
            assert lots.totals[0].unknown_disposals == 0
            if number:  # the first checks the file
                times.append(watch.elapsed_s)
    return Figure(
        name="the question to a store, FIFO",
        unit="s",
        ours=min(times),
        limits=(Limit(of="ours", at_most=SECONDS_MAX),),
        point=POINT,
        note=f"{count:,} archived fills, {len(lots.disposals):,} disposals",
    )


def _peak(root: Path) -> list[Figure]:
    figures = []
    for name, methods in (("one method", METHODS[:1]), ("all four methods", METHODS)):
        done = subprocess.run(  # noqa: S603  our own interpreter and modules
            [sys.executable, "-m", "benchmarks.lots", _ASK, str(root), *methods],
            check=True,
            stdout=subprocess.PIPE,
            cwd=_REPOSITORY,
        )
        _, peak = [int(word) for word in done.stdout.split()]
        if peak == NO_FIGURE:
            print(f"no resident set on {sys.platform}: the standard library cannot tell it", file=sys.stderr)
            return []
        limits = (Limit(of="ours", at_most=PEAK_MB_MAX),) if len(methods) == 1 else ()
        figures.append(
            Figure(
                name=f"a process that asks for {name}, at its peak",
                unit="MB",
                ours=peak / _MB,
                limits=limits,
                point="own" if limits else "",
            )
        )
    return figures


def ask(root: Path, methods: list[str]) -> None:
    """Ask a store for its lots, and print what this process holds then and at its peak.

    Args:
        root: Its folder.
        methods: By which methods.
    """
    with HybridStore(root) as store:
        lots = store.books.lots(method=methods)
        assert lots.disposals
        print(*resident_bytes())


if __name__ == "__main__":
    if _ASK in sys.argv:
        ask(Path(sys.argv[2]), sys.argv[3:])
    else:
        sys.exit(main("lots", measure, __doc__))
