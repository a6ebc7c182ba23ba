"""Looks at a store after its bot was killed: what was acknowledged is there once, and of the rest all or nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hybridstore.store import HybridStore
from tests.crash.bot_work import PERP, STREAMS, State, account_of, expected
from tests.crash.observer import Wrong

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_QUESTIONS = {
    "balance_history": "SELECT account, source, asset, balance FROM balance_history",
    "balances": "SELECT account, asset, balance FROM balances",
    "trades": "SELECT account, trade_id, side, price, amount FROM trades",
    "ledger": "SELECT account, entry_id, asset, amount FROM ledger WHERE NOT ends_with(entry_id, '|pnl')",
    "position_events": "SELECT DISTINCT account, trade_id, true FROM position_events",
    "positions": "SELECT account, symbol, CASE side WHEN 'LONG' THEN amount ELSE -amount END FROM positions"
    " WHERE status = 'OPEN'",
    "orders": "SELECT account, order_id, status, filled FROM orders",
    "marks": "SELECT 'run' || regexp_extract(symbol, '[0-9]+') || '/mark', symbol, mark FROM marks"
    " WHERE starts_with(symbol, 'RUN')",
}
"""Account, what the row is known by, and what it says; over all tiers."""
_PROFITS = (
    "SELECT account, trade_id, realized_pnl FROM trades WHERE symbol = $symbol AND realized_pnl <> 0",
    "SELECT account, split_part(entry_id, '|', 2), amount FROM ledger WHERE ends_with(entry_id, '|pnl')",
)
_EVENTS = "SELECT account, order_id, status, filled, occurred_at FROM order_events"


class Judge:
    """Compares what a store shows with what its bots were told is recorded.

    Args:
        root: The store's folder. It is opened anew for each look, so that nothing is remembered from before a kill.
        base_us: The present of the whole campaign, us UTC.
    """

    def __init__(self, root: Path, base_us: int) -> None:
        self._root = root
        self._base_us = base_us
        self._settled: dict[tuple[int, str], State] = {}

    def judge(self, run: int, acknowledged: Mapping[str, int]) -> None:
        """Look at the whole store.

        Args:
            run: The bot that was killed.
            acknowledged: How many reports of each of its streams were acknowledged.

        Raises:
            Wrong: A report is lost, there twice, half there, or not what was told.
        """
        found = self._read()
        for stream in STREAMS:
            account, count = account_of(run, stream), acknowledged.get(stream, 0)
            wanted = [expected(stream, run, told, self._base_us) for told in (count, count + 1)]
            shown = _tables_of(found, account, wanted[1])
            if shown not in wanted:
                raise Wrong(f"run {run}, {stream}, {count} acknowledged: {_difference(wanted, shown)}")
            self._settled[run, stream] = shown
        for (earlier, stream), state in self._settled.items():
            shown = _tables_of(found, account_of(earlier, stream), state)
            if shown != state:
                raise Wrong(f"run {earlier}, {stream}, after run {run}: {_difference([state], shown)}")

    def _read(self) -> dict[str, State]:
        """Return every account's state, read in one snapshot over all tiers."""
        found: dict[str, State] = defaultdict(lambda: defaultdict(dict))
        with HybridStore(self._root) as store, store.snapshot() as snapshot:
            for table, question in _QUESTIONS.items():
                for account, key, *said in snapshot.sql(question).rows():
                    if key in found[account][table]:
                        raise Wrong(f"{account} has {key} twice in {table}")
                    found[account][table][key] = tuple(said) if len(said) > 1 else said[0]
            profits, entries = (
                snapshot.sql(question, **({"symbol": PERP} if "$" in question else {})).rows()
                for question in _PROFITS
            )
            events = Counter(snapshot.sql(_EVENTS).rows())
        if Counter(profits) != Counter(entries):
            raise Wrong(f"profits {Counter(profits) - Counter(entries)} are not in the ledger, or not once")
        if twice := [event for event, times in events.items() if times > 1]:
            raise Wrong(f"order events are there twice: {twice[:3]}")
        return found


def _tables_of(found: dict[str, State], account: str, like: State) -> State:
    """Return an account's state in the tables of another state, and whatever else it has."""
    rows = found.get(account, {})
    return {table: dict(rows.get(table, {})) for table in like.keys() | rows.keys()}


def _difference(wanted: list[State], shown: State) -> str:
    for table, rows in wanted[0].items():
        if all(shown[table] != state[table] for state in wanted):
            lost = {key: rows[key] for key in rows if shown[table].get(key) != rows[key]}
            strange = {key: shown[table][key] for key in shown[table] if key not in wanted[-1][table]}
            return f"{table}: {_first(lost)} lost or changed, {_first(strange)} invented"
    return f"no table is wrong alone: they are of different moments, {_counts(shown)}"


def _first(rows: dict[str, Any]) -> str:
    return f"{len(rows)} {dict(list(rows.items())[:3])}"


def _counts(shown: State) -> dict[str, int | Decimal]:
    return {table: len(rows) for table, rows in shown.items()}
