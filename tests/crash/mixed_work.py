"""Everything a bot tells, told at once to a store that has archived part of what it was told before.

Some tasks tell new things, some correct rows that are archived (which supersedes them), one repeats old reports. What
the hot store holds afterwards is read straight from its tables, whatever disk they are on.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hybridstore.aio import TradingBotStorageSystem
from hybridstore.clock import ManualClock
from hybridstore.store import HybridStore
from tests.crash.bot_work import KEYED, STREAMS, Action, State, account_of, action, expected, moment_us
from tests.crash.observer import Wrong, table_rows
from tests.crash.stock import NOW_US, store_config

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import apsw

    from tests.crash.vfs import RecordingVFS

BASE_US = NOW_US - 3_600 * 1_000_000
BEFORE, NEW = 24, 24
"""Reports of each stream that were told before, part of which is archived, and that are told meanwhile."""
Changed = tuple[str, str, Any]
"""Table, what the row is known by, and what it says since."""
_QUARTER = Decimal("0.25")
_IDLE_MAX_S = 0.003
AMENDED = ("dated", "spot", "order", "deposit")
"""Streams with corrections of archived rows."""
_TABLES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "balance_history": ("source", ("asset", "balance"), ""),
    "balances": ("asset", ("balance",), ""),
    "trades": ("trade_id", ("side", "price", "amount"), ""),
    "ledger": ("entry_id", ("asset", "amount"), "WHERE entry_id NOT LIKE '%|pnl'"),
    "positions": ("symbol", ("side", "amount"), "WHERE status = 'OPEN'"),
    "orders": ("order_id", ("status", "filled"), ""),
    "marks": ("symbol", ("mark",), ""),
}
"""What a row is known by within its account, what it says, and which hot rows are looked at."""
_ARCHIVED = ("balance_history", "trades", "ledger", "orders")
_TEXTS = {"asset", "side", "status"}


@dataclass(frozen=True)
class Acknowledged:
    """One report the caller was told is recorded.

    Attributes:
        stream: Of which stream; ``amended <stream>`` for a correction.
        number: 1 for the first of it.
        full: Whether it was promised to survive a power cut.
    """

    stream: str
    number: int
    full: bool


def create_books(root: Path) -> None:
    """Create a store that was told of every keyed stream, and has archived what is old of it."""
    with HybridStore(config=store_config(root), clock=ManualClock(NOW_US)) as store:
        for stream in KEYED:
            for number in range(1, BEFORE + 1):
                method, arguments, details = action(stream, 0, number, BASE_US)
                getattr(store, method)(*arguments, **details)
        assert store.retention.run().rows > BEFORE


def amendments(stream: str) -> list[tuple[Action, list[Changed]]]:
    """Return the corrections of archived rows of a stream: the call, and every row it changes."""
    account = account_of(0, stream)
    found: list[tuple[Action, list[Changed]]] = []
    for number in range(3, BEFORE + 1, 3):
        method, arguments, details = action(stream, 0, number, BASE_US)
        if stream == "dated":
            asset, balance = arguments[0], number + _QUARTER
            call: Action = (method, (asset, balance, *arguments[2:]), details)
            found.append((call, [("balance_history", str(number), (asset, balance))]))
        elif stream == "spot":
            symbol, side, price, amount = arguments
            call = (method, (symbol, side, price + 1, amount), details)
            cost = amount * (price + 1) * (-1 if side == "buy" else 1)
            changed = ("trades", f"t{number}", (side, price + 1, amount))
            found.append((call, [changed, ("ledger", f"{symbol}|t{number}|-|quote", ("USDT", cost))]))
        elif stream == "deposit" and number % 5:
            entry = (account, f"d{number}", "deposit", "USDT", number + _QUARTER, None)
            call = (method, ([(*entry, moment_us(number, BASE_US))],), {})
            found.append((call, [("ledger", f"d{number}", ("USDT", number + _QUARTER))]))
        elif stream == "order" and number * 3 < BEFORE:
            later = {"status": "canceled", "updated_at": moment_us(number, BASE_US) + 5, "filled": 2}
            call = (method, (), {**details, "order_id": f"o{number}", **later})
            found.append((call, [("orders", f"o{number}", ("canceled", Decimal(2)))]))
    return found


def possible_states() -> dict[tuple[int, str], list[State]]:
    """Return, by run and stream, what the store may show: after none, one, two, ... of what is told meanwhile."""
    states = {
        (1, stream): [expected(stream, 1, count, BASE_US) for count in range(NEW + 1)] for stream in STREAMS
    }
    for stream in KEYED:
        before = expected(stream, 0, BEFORE, BASE_US)
        states[0, stream] = [before]
        for _, changes in amendments(stream) if stream in AMENDED else ():
            state = dict(states[0, stream][-1])
            for table, key, said in changes:
                state[table] = {**state[table], key: said}
            states[0, stream].append(state)
    return states


async def tell_everything(root: Path, vfs: RecordingVFS, seed: int, *, mixed: bool) -> None:
    """Tell new things, corrections and repetitions concurrently; note each acknowledgement.

    Args:
        root: A store from :func:`create_books`.
        vfs: Records what is written.
        seed: Decides order, pauses and durabilities.
        mixed: Whether only some reports are of full durability; all are otherwise.
    """
    config, clock = store_config(root, vfs.name), ManualClock(NOW_US)
    async with TradingBotStorageSystem(config=config, clock=clock, maintenance="off") as storage:

        async def tell(name: str, calls: Sequence[Action]) -> None:
            rng = random.Random(f"{seed} {name}")
            for number, (method, arguments, details) in enumerate(calls, start=1):
                full = not mixed or bool(rng.getrandbits(1))
                durability = "full" if full else "normal"
                await getattr(storage, method)(*arguments, **details, durability=durability)
                vfs.note(Acknowledged(name, number, full))
                await asyncio.sleep(rng.random() * _IDLE_MAX_S)

        told = [(stream, number) for stream in KEYED for number in range(1, BEFORE + 1)]
        random.Random(seed).shuffle(told)
        again = [action(stream, 0, number, BASE_US) for stream, number in told]
        new = {
            stream: [action(stream, 1, number, BASE_US) for number in range(1, NEW + 1)] for stream in STREAMS
        }
        await asyncio.gather(
            tell("again", again),
            *(tell(stream, calls) for stream, calls in new.items()),
            *(tell(f"amended {stream}", [call for call, _ in amendments(stream)]) for stream in AMENDED),
        )


class BookReader:
    """Reads what counts: hot rows from whatever disk, and archived ones that are not superseded there.

    Args:
        root: The store the disks are of. Its archives are as they were when the reader is made.
    """

    def __init__(self, root: Path) -> None:
        import pyarrow.parquet as pq

        self._archived: dict[str, dict[int, dict[str, Any]]] = {table: {} for table in _ARCHIVED}
        with HybridStore(config=store_config(root), clock=ManualClock(NOW_US)) as store:
            registry = store.database.registry
            files = store.database.readers.rows("SELECT dataset, path FROM archive_files ORDER BY file_id")
        for name, path in files:
            if name in _ARCHIVED:
                dataset = registry[name]
                for number, row in table_rows(dataset, pq.ParquetFile(root / path).read()).items():
                    self._archived[name][number] = dict(zip(dataset.column_names, row, strict=True))

    def read(self, connection: apsw.Connection) -> dict[str, State]:
        """Return every account's state.

        Args:
            connection: On one disk's database.

        Raises:
            Wrong: A row counts twice.
        """
        superseded = set(connection.execute("SELECT dataset, row_id FROM superseded_rows"))
        found: dict[str, State] = defaultdict(lambda: defaultdict(dict))
        for table, (known_by, says, where) in _TABLES.items():
            columns = ("account" if table != "marks" else "'run1/mark' AS account", known_by, *says)
            rows: list[tuple[Any, ...]] = connection.execute(
                f"SELECT {', '.join(columns)} FROM {table} {where}"
            ).fetchall()
            for number, row in self._archived.get(table, {}).items():
                if (table, number) not in superseded and not str(row[known_by]).endswith("|pnl"):
                    rows.append((row["account"], row[known_by], *(row[name] for name in says)))
            for account, key, *values in rows:
                if key in found[account][table]:
                    raise Wrong(f"{account} has {key} twice in {table}")
                found[account][table][key] = _said(table, says, values)
        for account, trade_id in connection.execute("SELECT account, trade_id FROM position_events"):
            found[str(account)]["position_events"][str(trade_id)] = True
        return found


def _said(table: str, says: tuple[str, ...], values: list[Any]) -> Any:
    exact = [value if name in _TEXTS else Decimal(value) for name, value in zip(says, values, strict=True)]
    if table == "positions":
        return exact[1] if exact[0] == "LONG" else -exact[1]
    return tuple(exact) if len(exact) > 1 else exact[0]
