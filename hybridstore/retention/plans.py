"""What is due in a store at a moment: the pure plans of moves, merges and deletions over what it holds now."""

from __future__ import annotations

from collections.abc import Mapping

from hybridstore.archive.manifest import ArchiveFile
from hybridstore.clock import DAY_US
from hybridstore.config import RetentionPolicy
from hybridstore.hot.database import DatabaseManager
from hybridstore.retention.deletion import PlannedDeletion, deletes_before_us, plan_deletions
from hybridstore.retention.holds import Hold
from hybridstore.retention.merging import PlannedMerge, plan_merges
from hybridstore.retention.policy import PlannedMove, Unit, overflow, plan
from hybridstore.retention.trusted_clock import Trust

LATE_STAYS_US = 31 * DAY_US
"""Who tells a history that is older than its policy keeps has so long to notice before it is deleted."""


class Plans:
    """Plans over a store as it is when they are asked for.

    Args:
        database: The open store.
        policies: Policy by dataset name.
        now_us: What moves and merges take for the present, us UTC; None means the store's clock.
    """

    def __init__(
        self, database: DatabaseManager, policies: Mapping[str, RetentionPolicy], now_us: int | None = None
    ) -> None:
        self._database = database
        self._policies = policies
        self._now_us = now_us

    @property
    def now_us(self) -> int:
        """What moves and merges take for the present, us UTC."""
        return self._database.clock.now_us() if self._now_us is None else self._now_us

    @property
    def uncompressed(self) -> frozenset[str]:
        """Datasets whose archives are not to be compressed."""
        return frozenset(name for name, policy in self._policies.items() if not policy.enable_compression)

    def units(self) -> list[Unit]:
        """Return what the hot store holds, by dataset and UTC day, one snapshot a dataset.

        Returns:
            Units with at least one row that may leave.
        """
        found = []
        for dataset in self._database.registry.tiered:
            # One transaction each: all of them together may take longer than a reader may live.
            with self._database.readers.transaction() as transaction:
                rows = transaction.rows(self._database.statements[f"units_{dataset.name}"])
            found += [
                Unit(dataset.name, day * DAY_US, count, id_min, id_max) for day, count, id_min, id_max in rows
            ]
        return found

    def moves(self) -> list[PlannedMove]:
        """Say what would move.

        Returns:
            Moves that are due by age, oldest first; then those that are due because there are too many rows.
        """
        units = self.units()
        due = plan(units, self._policies, self.now_us)
        aged = {move.unit for move in due}
        unsettled = {
            dataset.name
            for dataset in self._database.registry.tiered
            if dataset.provisional or dataset.kind == "state"
        }
        staying = [unit for unit in units if unit not in aged]
        return due + overflow(staying, self._policies, self.now_us, whole_days=unsettled)

    def merges(self, trust: Trust) -> list[PlannedMerge]:
        """Say which archived files would become one. What is only kept by a hold is left alone.

        Args:
            trust: What the clock is worth.

        Returns:
            Merges, oldest period first.
        """
        before_us = self._deletes_before_us(trust)
        files = [file for file in self._files() if file.time_min_us >= before_us[file.dataset]]
        return plan_merges(files, self._policies, self.now_us)

    def deletions(self, trust: Trust) -> list[PlannedDeletion]:
        """Say what would be deleted. What was told late stays for a month after it was archived.

        Args:
            trust: What the clock is worth.

        Returns:
            Deletions, oldest rows first.
        """
        aged_us, statement = self._aged_us(trust), self._database.statements["moved_lately"]
        lately = {
            row[0]
            for name in self._policies
            for row in self._database.readers.rows(statement, (name, aged_us - LATE_STAYS_US))
        }
        files = [file for file in self._files() if file.file_id not in lately]
        return plan_deletions(files, self._policies, self.holds(), aged_us)

    def doubt(self, trust: Trust) -> str | None:
        """Say why something is not deleted that would be by the clock.

        Args:
            trust: What the clock is worth.

        Returns:
            A sentence; None where the clock is believed, or nothing waits for it.
        """
        if trust.doubt is None:
            return None
        waiting = plan_deletions(self._files(), self._policies, self.holds(), self._database.clock.now_us())
        rows = sum(planned.file.row_count for planned in waiting)
        return f"{trust.doubt}; by it up to {rows:,} rows are old enough to be deleted" if waiting else None

    def holds(self) -> list[Hold]:
        """Return the legal holds in force.

        Returns:
            Oldest first.
        """
        return [Hold(*row) for row in self._database.readers.rows(self._database.statements["active_holds"])]

    def _aged_us(self, trust: Trust) -> int:
        """A plan as if it were another moment deletes nothing that is not old enough now."""
        return trust.now_us if self._now_us is None else min(self._now_us, trust.now_us)

    def _deletes_before_us(self, trust: Trust) -> dict[str, int]:
        aged_us = self._aged_us(trust)
        return {name: deletes_before_us(policy, aged_us) for name, policy in self._policies.items()}

    def _files(self) -> list[ArchiveFile]:
        statement = self._database.statements["manifest_of_dataset"]
        with self._database.readers.transaction() as transaction:
            return [
                ArchiveFile.from_row(row)
                for dataset in self._database.registry.tiered
                for row in transaction.rows(statement, (dataset.name,))
            ]
