"""Backups whose files are flipped, cut, swapped or gone: a restore is right, or says that it is not."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from hybridstore.backup.archive_copies import kept_files
from hybridstore.backup.chain import Target
from hybridstore.backup.condition import BackupCondition, write_condition
from hybridstore.backup.repository import Repository
from hybridstore.backup.restore import RestoreResult, restore
from hybridstore.backup.shipper import Shipper
from hybridstore.config import DATABASE_NAME, DatabaseConfig
from hybridstore.durable import sha256_file
from hybridstore.errors import HybridStoreError
from hybridstore.hot.copying import content_sha256
from tests.backup.calendar import Calendar

Restored = tuple[int, int, str, tuple[str, ...]]


class Healthy(NamedTuple):
    """Backups without damage, and what they restore."""

    base: Path
    files: tuple[Path, ...]
    targets: tuple[Target, ...]
    answers: dict[Target, tuple[Restored, bool] | None]


def contents(root: Path) -> tuple[str, tuple[str, ...]]:
    """Return what a restored store holds: hash of its database, hashes of its archived files as they are."""
    config = DatabaseConfig(database_path=str(root / DATABASE_NAME))
    files = [file for file in kept_files(config)[1] if file.replaced_seq is None]
    return content_sha256(config)[1], tuple(sorted(sha256_file(root / file.path) for file in files))


def answer(repository: Repository, target: Target, to: Path) -> tuple[Restored, bool]:
    """Restore a moment; return what came of it, and whether it is said to be all."""
    result: RestoreResult = restore(repository, target, to, DatabaseConfig(database_path=str(to / "db")))
    try:
        return (result.seq, result.ts_us, *contents(to)), result.exact
    finally:
        shutil.rmtree(to)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Healthy:
    """Backups of a few days: two chains, several copies, compressed and not, archived files, a tail."""
    folder = tmp_path_factory.mktemp("healthy")
    rng = random.Random(5)
    calendar = Calendar(folder / "root", rng, 100)
    with calendar.store:
        for day in range(7):
            calendar.compressed = day != 2
            calendar.day(5, restarts=day == 3)
        shipper = Shipper(calendar.store.config, calendar.backup, calendar.repository, calendar.clock)
        for _ in range(4):
            calendar.commit(shipper)
        row = shipper.clock_row
        condition = BackupCondition(os.getpid(), shipper.epoch, row.seq, row.ts_us)
        write_condition(calendar.repository.base, condition)
        shipper.close()
    base = calendar.repository.base
    known = calendar.known
    targets = [Target(ts_us=one[1]) for one in known] + [Target(seq=one[0]) for one in known[::3]]
    targets += [
        Target(ts_us=row.ts_us),
        Target(ts_us=row.ts_us + 5),
        Target(),
        Target(ts_us=known[0][1] - 10**12),
    ]
    answers: dict[Target, tuple[Restored, bool] | None] = {}
    for target in targets:
        try:
            answers[target] = answer(Repository(base), target, folder / "answer")
        except HybridStoreError:
            answers[target] = None
    files = tuple(path for path in sorted(base.rglob("*")) if path.is_file() and path.name != ".lock")
    kinds = {path.suffix for path in files}
    assert kinds >= {".json", ".jsonl", ".zst", ".db", ".wal", ".tail", ".parquet"}, kinds
    return Healthy(base, files, tuple(targets), answers)


def flip(path: Path, rng: random.Random) -> None:
    """Flip one bit."""
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def cut(path: Path, rng: random.Random) -> None:
    """Cut the end off."""
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def lengthen(path: Path, rng: random.Random) -> None:
    """Append what does not belong there."""
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.randrange(1, 200)))


def delete(path: Path, _rng: random.Random) -> None:
    """Delete it."""
    path.unlink()


def blank(path: Path, rng: random.Random) -> None:
    """Overwrite a piece with zeros, as a file system does that lost a block."""
    content = bytearray(path.read_bytes())
    start = rng.randrange(len(content))
    content[start : start + 512] = bytes(len(content[start : start + 512]))
    path.write_bytes(content)


ALONE: tuple[Callable[[Path, random.Random], None], ...] = (flip, flip, flip, cut, lengthen, delete, blank)


@contextmanager
def damaged(healthy: Healthy, folder: Path, rng: random.Random) -> Iterator[tuple[Path, str]]:
    """Make a copy of the backups in which one file, or two, are not what they were."""
    base = folder / "backups"
    for path in healthy.files:
        target = base / path.relative_to(healthy.base)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, target)
    # Kinds of files are equally likely, not files: there are many segments and one list of chains.
    kind = rng.choice(sorted({path.suffix for path in healthy.files}))
    victim = base / rng.choice([one for one in healthy.files if one.suffix == kind]).relative_to(healthy.base)
    own = victim.read_bytes()
    victim.unlink()
    victim.write_bytes(own)
    if rng.random() < 0.15:
        other = base / rng.choice(healthy.files).relative_to(healthy.base)
        said = f"{victim.name} holds what {other.name} held"
        victim.write_bytes(other.read_bytes())
        if rng.random() < 0.5:
            said += ", and the other way round"
            other.unlink()
            other.write_bytes(own)
    else:
        damage = rng.choice(ALONE)
        damage(victim, rng)
        said = f"{damage.__name__} {victim.name}"
    try:
        yield base, said
    finally:
        shutil.rmtree(folder)


def judge(healthy: Healthy, base: Path, target: Target, to: Path) -> str:
    """Say what a restore from damaged backups came to; raise where it is wrong and does not say so."""
    wanted = healthy.answers[target]
    try:
        found, exact = answer(Repository(base), target, to)
    except HybridStoreError:
        return "refused" if wanted is not None else "right"
    assert wanted is not None, "restored what cannot be"
    if (found, exact) == wanted:
        return "right"
    assert not exact or not wanted[1], (found, wanted)
    assert found[0] < wanted[0][0] or found == wanted[0]
    return "told"


def campaign(healthy: Healthy, tmp_path: Path, seed: int, count: int) -> Counter[str]:
    """Damage backups again and again."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for number in range(count):
        with damaged(healthy, tmp_path / f"damaged-{number}", rng) as (base, said):
            target = rng.choice(healthy.targets)
            try:
                outcomes[judge(healthy, base, target, tmp_path / "restored")] += 1
            except BaseException:
                print(f"damage {number}: {said}; {target}")
                raise
    return outcomes


def test_damaged_backups_are_refused_or_restored_right(healthy: Healthy, tmp_path: Path, seed: int) -> None:
    outcomes = campaign(healthy, tmp_path, seed, 250)
    assert outcomes["refused"] > 10
    assert outcomes["right"] > 10


@pytest.mark.soak
def test_five_thousand_damages_give_no_wrong_restore(healthy: Healthy, tmp_path: Path, seed: int) -> None:
    outcomes = campaign(healthy, tmp_path, seed, 5_500)
    print(f"\n5,500 damages: {dict(outcomes)}")
    assert sum(outcomes.values()) == 5_500
