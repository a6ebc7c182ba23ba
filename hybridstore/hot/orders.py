"""Orders in their present state: each report overwrites the one before, never a later one."""

from __future__ import annotations

from typing import Any

from hybridstore.hot.balances import DEFAULT_ACCOUNT
from hybridstore.hot.commits import touches
from hybridstore.hot.session import WriteSession
from hybridstore.schema.books import ORDERS

_UPDATED = ORDERS.column_names.index("updated_at")
_RECORDED = ORDERS.column_names.index("recorded_at")
_KEY = [ORDERS.column_names.index(name) for name in ORDERS.key]


def prepare_order(columns: dict[str, object]) -> list[Any]:
    """Take an order through the door.

    Args:
        columns: Values by column of the ``orders`` dataset; ``account`` defaults to "default", ``updated_at`` and
            ``recorded_at`` to the commit's time, ``filled`` to 0.

    Returns:
        Stored forms in declared order, None where the commit's time goes.

    Raises:
        InvalidValue: A value does not fit; it is named.
    """
    given = {"account": DEFAULT_ACCOUNT, "filled": 0, **columns}
    late = [name for name in ("updated_at", "recorded_at") if given.get(name) is None]
    row = list(ORDERS.check_row({**given, **dict.fromkeys(late, 0)}))
    for name in late:
        row[ORDERS.column_names.index(name)] = None
    return row


@touches("orders", "order_events")
def write_order(session: WriteSession, row: list[Any]) -> bool:
    """Record the state of an order.

    Args:
        session: The write transaction.
        row: What :func:`prepare_order` returned.

    Returns:
        Whether it is the latest state; an older report than the one known changes nothing.
    """
    stored = list(row)
    stored[_UPDATED] = session.ts_us if row[_UPDATED] is None else row[_UPDATED]
    stored[_RECORDED] = session.ts_us
    found = session.one("find_orders", [stored[place] for place in _KEY])
    if found is not None and found[1 + _UPDATED] > stored[_UPDATED]:
        return False
    session.execute(session.sql["upsert_orders"], stored)
    return True
