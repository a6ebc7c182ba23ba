"""A clock that deletions can trust: a wall clock that jumped ten years must not delete ten years of rows.

A store remembers until when its clock was believed. It believes the clock again as long as that is at most two months
further on; a larger leap is believed only when somebody confirms it. Until then nothing is deleted that was not old
enough by the last time that was believed.
"""

from __future__ import annotations

from hybridstore.clock import DAY_US
from hybridstore.hot.database import DatabaseManager
from hybridstore.hot.session import WriteSession
from hybridstore.records import Record
from hybridstore.retention.steps import record
from hybridstore.schema.types import moment

LEAP_MAX_US = 62 * DAY_US
"""A store that nobody maintained for longer than this asks before it deletes again. Once a month is often enough, even
if a month is left out."""
_KEPT_EVERY_US = DAY_US
TRUSTED_CLOCK = "trusted_clock_us"
"""The setting that says until when the clock was believed."""


class Trust(Record, frozen=True, gc=False):
    """What the clock is worth.

    Attributes:
        now_us: The latest time that is believed, us UTC.
        doubt: Why that is not the clock's own; None where it is.
    """

    now_us: int
    doubt: str | None = None


def judge(clock_us: int, believed_us: int) -> Trust:
    """Say whether a clock is to be believed. Pure.

    Args:
        clock_us: What it says, us UTC.
        believed_us: The latest time that was believed before, us UTC.

    Returns:
        The clock's time, or the one before where it leapt.
    """
    if clock_us - believed_us <= LEAP_MAX_US:
        return Trust(clock_us)
    return Trust(
        believed_us,
        f"the clock says {moment(clock_us):%Y-%m-%d}, {(clock_us - believed_us) // DAY_US:,} days after it was "
        f"last known to be right ({moment(believed_us):%Y-%m-%d})",
    )


def read_trust(database: DatabaseManager) -> Trust:
    """Judge a store's clock; nothing is written.

    Args:
        database: The open store.

    Returns:
        What it is worth. A store whose clock was never judged was made at a time that is believed.
    """
    return judge(database.clock.now_us(), _believed_us(database)[0])


def keep_trust(database: DatabaseManager) -> Trust:
    """Judge a store's clock, and remember until when it was believed, once a day.

    Args:
        database: The open store.

    Returns:
        What it is worth.
    """
    believed_us, is_kept = _believed_us(database)
    trust = judge(database.clock.now_us(), believed_us)
    if trust.doubt is None and (not is_kept or trust.now_us - believed_us >= _KEPT_EVERY_US):
        database.writer.call(_believe, max(trust.now_us, believed_us))
    return trust


def confirm_clock(database: DatabaseManager, confirmed_by: str) -> Trust:
    """Believe the clock, however far it leapt.

    Args:
        database: The open store.
        confirmed_by: Who looked.

    Returns:
        The clock's time.
    """
    clock_us, (believed_us, _) = database.clock.now_us(), _believed_us(database)

    def write(session: WriteSession) -> None:
        _believe(session, clock_us)
        record(session, "confirm_clock", {
            "clock_us": clock_us, "believed_us": believed_us, "confirmed_by": confirmed_by,
        })  # fmt: skip

    database.writer.call(write, durability="full")
    return Trust(clock_us)


def _believe(session: WriteSession, now_us: int) -> None:
    session.run("upsert_settings", (TRUSTED_CLOCK, str(now_us)))


def _believed_us(database: DatabaseManager) -> tuple[int, bool]:
    """Return until when the clock was believed, and whether that was kept before."""
    statements = database.statements
    kept = database.readers.rows(statements["find_settings"], (TRUSTED_CLOCK,))
    if kept:
        return int(kept[0][1]), True
    return database.readers.rows(statements["first_schema"])[0][0], False
