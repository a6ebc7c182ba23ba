"""Which column somebody meant who named one that is not there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from hybridstore.schema.dataset import Dataset

_MISSING = (
    re.compile(r'Referenced column "([^"]+)" not found'),
    re.compile(r'does not have a column named "([^"]+)"'),
    re.compile(r'Column "([^"]+)" (?:in [A-Z ]+ )?not found'),
)
_OTHER_WORDS: Mapping[str, tuple[str, ...]] = {
    "quantity": ("amount",), "qty": ("amount",), "size": ("amount",), "volume": ("quote_amount", "volume"),
    "cost": ("quote_amount",), "value": ("quote_amount", "equity"), "notional": ("quote_amount",),
    "pnl": ("realized_pnl", "realized"), "profit": ("realized_pnl", "realized"), "fees": ("fee_in_quote", "fee"),
    "ticker": ("symbol",), "market": ("symbol",), "pair": ("symbol",), "instrument": ("symbol",),
    "coin": ("asset",), "currency": ("asset", "fee_currency"), "token": ("asset",), "free": ("available",),
    "used": ("hold_trade",), "locked": ("hold_trade",), "total": ("balance", "equity"), "exchange": ("account",),
}  # fmt: skip
"""What exchanges and other libraries call the same."""
_TIMES = frozenset({"time", "timestamp", "ts", "date", "datetime", "at", "created_at", "when"})


def column_hint(text: str, datasets: Iterable[Dataset]) -> str | None:
    """Say which column may be meant.

    Args:
        text: What the engine says.
        datasets: Those the question is about.

    Returns:
        A hint; None where the engine complains of something else, or nothing is near.
    """
    found = next((match for pattern in _MISSING if (match := pattern.search(text))), None)
    if found is None:
        return None
    meant = [
        f"{column} ({dataset.name})" for dataset in datasets for column in _near(found[1].lower(), dataset)
    ]
    return f"did you mean {' or '.join(meant)}?" if meant else None


def _near(name: str, dataset: Dataset) -> list[str]:
    columns = dataset.column_names
    is_time = name in _TIMES or (
        name.endswith("_at") and not difflib.get_close_matches(name, columns, 1, 0.9)
    )
    if is_time and dataset.tiering is not None:
        return [dataset.tiering.time]
    others = [column for column in _OTHER_WORDS.get(name, ()) if column in columns]
    return others[:1] or difflib.get_close_matches(name, columns, n=1, cutoff=0.7)
