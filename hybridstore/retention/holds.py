"""Legal holds: rows that nothing may delete, whatever their policy says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hybridstore.errors import InvalidValue, NotFound
from hybridstore.hot.session import WriteSession
from hybridstore.records import Record
from hybridstore.retention.spans import Span, union
from hybridstore.retention.steps import record

EVERY_DATASET = "*"
"""The dataset of a hold on all of them, also those that are declared later."""


class Hold(Record, frozen=True, gc=False):
    """One legal hold; the fields are the columns of ``legal_holds``.

    Attributes:
        hold_id: Unique.
        dataset: What is held; ``*`` means every tiered dataset.
        start_us: Rows from this moment on, us UTC.
        end_us: Rows before this moment, us UTC.
        reason: Why.
        held_by: Who ordered it.
        placed_at: When, us UTC.
        released_at: When it ended, us UTC; None while it holds.
    """

    hold_id: str
    dataset: str
    start_us: int
    end_us: int
    reason: str
    held_by: str
    placed_at: int = 0
    released_at: int | None = None


def place_hold(session: WriteSession, hold: Hold) -> Hold:
    """Place a hold.

    Args:
        session: The write transaction.
        hold: The hold.

    Returns:
        The hold as recorded.

    Raises:
        InvalidValue: It holds no moment, or does not say why or by whose order.
    """
    for name in ("reason", "held_by"):
        if not getattr(hold, name).strip():
            raise InvalidValue(
                f"{name}={getattr(hold, name)!r}", hint="say why it is held, and by whose order"
            )
    if hold.start_us >= hold.end_us:
        raise InvalidValue(
            f"start_us={hold.start_us}, end_us={hold.end_us}: no moment lies between them",
            hint="the end is the first moment that is not held",
        )
    placed = Hold(**{**hold.to_dict(), "placed_at": session.ts_us})
    session.run("insert_legal_holds", tuple(placed.values()))
    record(session, "hold", {
        "hold_id": hold.hold_id, "dataset": hold.dataset, "start_us": hold.start_us, "end_us": hold.end_us,
        "reason": hold.reason, "held_by": hold.held_by,
    })  # fmt: skip
    return placed


def release_hold(session: WriteSession, hold_id: str, released_by: str) -> Hold:
    """End a hold.

    Args:
        session: The write transaction.
        hold_id: Which.
        released_by: By whose order.

    Returns:
        The hold as it ended.

    Raises:
        InvalidValue: It is not said by whose order.
        NotFound: There is no such hold, or it ended before.
    """
    if not released_by.strip():
        raise InvalidValue(f"released_by={released_by!r}", hint="say by whose order it is released")
    if session.run("release_hold", (session.ts_us, hold_id)) != 1:
        raise NotFound(f"no legal hold {hold_id!r} is in force", hint="see: hybridstore retention holds")
    found = session.one("find_legal_holds", (hold_id,))
    assert found is not None
    hold = Hold(*found)
    record(session, "release", {"hold_id": hold_id, "dataset": hold.dataset, "released_by": released_by})
    return hold


def active_holds(session: WriteSession) -> list[Hold]:
    """Return the holds in force at the transaction's moment.

    Args:
        session: The write transaction.

    Returns:
        Oldest first.
    """
    rows: list[Any] = session.execute(session.sql["active_holds"]).fetchall()
    return [Hold(*row) for row in rows]


def held_spans(holds: Iterable[Hold], dataset: str) -> tuple[Span, ...]:
    """Return which times of a dataset are held.

    Args:
        holds: Holds in force.
        dataset: Its name.

    Returns:
        In order, apart from each other.
    """
    return union(
        Span(hold.start_us, hold.end_us) for hold in holds if hold.dataset in (dataset, EVERY_DATASET)
    )
