"""Snapshots while bots trade and history moves: in each of them the books add up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from hybridstore import HybridStore

REPOSITORY = Path(__file__).resolve().parents[2]


@contextmanager
def working(root: Path, work: str, seed: int) -> Iterator[subprocess.Popen[str]]:
    """Have a process work on a store; its last line is how much it did."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.analytics.load_process", str(root), work, str(seed)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def end(child: subprocess.Popen[str]) -> int:
    told, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    return int(told)


def look(root: Path, snapshots: int) -> int:
    """Take snapshots; in each, every balance must be the sum of its entries. Return how many entries there were."""
    seen = -1
    with HybridStore(root) as store:
        for _ in range(snapshots):
            with store.snapshot() as snapshot:
                told = snapshot.sql("SELECT account, asset, amount, entries FROM ledger_balances").rows()
                sums = snapshot.sql(
                    "SELECT account, asset, sum(amount), count(*) FROM ledger GROUP BY account, asset"
                ).rows()
            assert sorted(told) == sorted(sums)
            entries = sum(row[3] for row in sums)
            assert entries >= seen, "a later snapshot knows less"
            seen = entries
        tiers = store.get_system_status()["datasets"]["ledger"]
        assert tiers["archived_rows"] > 0
    return seen


def look_under_load(root: Path, rng: Random, snapshots: int) -> str:
    HybridStore(root).open().close()
    seeds = [rng.randrange(1 << 30) for _ in range(3)]
    with (
        working(root, "trade", seeds[0]) as one,
        working(root, "trade", seeds[1]) as other,
        working(root, "move", seeds[2]) as mover,
    ):
        seen = look(root, snapshots)
        return (
            f"{snapshots:,} snapshots, {end(one) + end(other):,} fills, {end(mover):,} rows moved meanwhile, "
            f"{seen:,} entries in the last"
        )


def test_every_balance_is_the_sum_of_its_entries_under_load(tmp_path: Path, rng: Random) -> None:
    print(look_under_load(tmp_path / "store", rng, 200))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_ten_thousand_snapshots_under_load(tmp_path: Path, rng: Random) -> None:
    print(look_under_load(tmp_path / "store", rng, 10_000))
