"""What a law or a court asks of a store: holds, certificates of what was deleted, and the log of what was done."""

from __future__ import annotations

import uuid

from hybridstore.errors import UnknownDataset
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention.audit import AuditEntry
from hybridstore.retention.certificates import Certificate, certificates
from hybridstore.retention.holds import EVERY_DATASET, Hold, place_hold, release_hold
from hybridstore.schema.types import check_timestamp

FOR_EVER_US = 1 << 62
"""The end of a hold that names none, us UTC."""


class LegalDesk:
    """Holds, certificates and the audit log of one store.

    Args:
        database: The open store.
    """

    def __init__(self, database: DatabaseManager) -> None:
        self._database = database

    def hold(
        self, dataset: str, start: object = None, end: object = None, *, reason: str, held_by: str
    ) -> Hold:
        """Place a legal hold: nothing deletes these rows until it is released.

        What a deletion took less than a day ago is brought back by the next run.

        Args:
            dataset: Whose rows; ``*`` means every tiered dataset, also those that are declared later.
            start: Rows from this moment on: an aware datetime, ISO 8601 text with a zone, or microseconds. None means
                from the beginning.
            end: Rows before this moment. None means for ever.
            reason: Why.
            held_by: By whose order.

        Returns:
            The hold as recorded.

        Raises:
            InvalidValue: A value does not fit.
            UnknownDataset: There is no such dataset, or it has no tiers.
        """
        if dataset != EVERY_DATASET and self._database.registry[dataset].tiering is None:
            raise UnknownDataset(
                f"{dataset} has no tiers: nothing deletes its rows",
                hint="name a tiered dataset, or * for all",
            )
        hold = Hold(
            hold_id=f"hold-{uuid.uuid4().hex[:12]}",
            dataset=dataset,
            start_us=0 if start is None else check_timestamp(start, "start"),
            end_us=FOR_EVER_US if end is None else check_timestamp(end, "end"),
            reason=reason,
            held_by=held_by,
        )
        return self._database.writer.call(place_hold, hold, durability="full")

    def release(self, hold_id: str, *, released_by: str) -> Hold:
        """End a legal hold.

        Args:
            hold_id: Which.
            released_by: By whose order.

        Returns:
            The hold as it ended.

        Raises:
            NotFound: There is no such hold, or it ended before.
        """
        return self._database.writer.call(release_hold, hold_id, released_by, durability="full")

    def holds(self, *, released: bool = False) -> list[Hold]:
        """Return legal holds.

        Args:
            released: Also those that ended.

        Returns:
            Oldest first.
        """
        name = "all_holds" if released else "active_holds"
        return [Hold(*row) for row in self._database.readers.rows(self._database.statements[name])]

    def certificates(self) -> list[Certificate]:
        """Return what was deleted by policy.

        Returns:
            A certificate for each deletion, oldest first.
        """
        return certificates(self.history())

    def history(self, last: int | None = None) -> list[AuditEntry]:
        """Return what was done to history, oldest first.

        Args:
            last: Only so many of the newest entries; None means all.

        Returns:
            Entries of the audit log.
        """
        rows = self._database.readers.rows(self._database.statements["audit_entries"])
        return [AuditEntry(*row) for row in rows[-last if last else 0 :]]
