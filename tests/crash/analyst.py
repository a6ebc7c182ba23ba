"""What an analyst's process sees through the product itself: one snapshot, questions with time between them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hybridstore.clock import ManualClock
from hybridstore.store import HybridStore
from tests.crash.observer import Wrong, table_rows
from tests.crash.stock import DATASETS, NOW_US, store_config

if TYPE_CHECKING:
    from pathlib import Path

    from tests.crash.stock import Rows


class Analyst:
    """Reads all rows of one store through ``HybridStore.snapshot``.

    Args:
        root: The store's folder.
    """

    def __init__(self, root: Path) -> None:
        self._store = HybridStore(config=store_config(root), clock=ManualClock(NOW_US))
        self._store.open()

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def rows(self, pause_s: float = 0.0) -> Rows:
        """Read everything in one snapshot.

        Args:
            pause_s: How long to wait before each question after the first.

        Returns:
            All rows of the datasets, by dataset and row number.

        Raises:
            Wrong: A row is there twice, or two questions of one snapshot are answered from different moments.
        """
        found: Rows = {}
        with self._store.snapshot() as snapshot:
            for dataset in DATASETS:
                found[dataset.name] = table_rows(
                    dataset, snapshot.sql(f"SELECT * FROM {dataset.name}").arrow()
                )
                time.sleep(pause_s)
            for dataset in DATASETS:
                ((count,),) = snapshot.sql(f"SELECT count(*) FROM {dataset.name}").rows()
                if count != len(found[dataset.name]):
                    raise Wrong(
                        f"{dataset.name} had {len(found[dataset.name])} rows, and {count} in the same snapshot"
                    )
        return found
