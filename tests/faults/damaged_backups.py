"""A small real folder of backups, what is known of every commit in it, and ways to damage it."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec

from hybridstore import HybridStore, ManualClock
from hybridstore.backup.archive_copies import ArchiveCopies, kept_files
from hybridstore.backup.chain import Target
from hybridstore.backup.full import make_full
from hybridstore.backup.in_place import restore_in_place
from hybridstore.backup.points import plan_restore
from hybridstore.backup.repository import Repository
from hybridstore.backup.restore import RestoreResult, restore
from hybridstore.backup.shipper import Shipper
from hybridstore.clock import DAY_US, SECOND_US
from hybridstore.config import DATABASE_NAME, BackupConfig, DatabaseConfig
from hybridstore.durable import sha256_file
from hybridstore.errors import BackupError, HybridStoreError
from hybridstore.hot.copying import content_sha256
from hybridstore.hot.shipped_mark import unmark_shipped

NOW_US = 20_600 * DAY_US + DAY_US // 3
_DAYS = 5
_GAP_AFTER_DAY = 2
_PUT_BACK_AFTER_DAY = 4
_STEPS = 4
IRRELEVANT = (".lock", "status.json")


class Known(NamedTuple):
    """What is known of a commit.

    Attributes:
        epoch: Its chain.
        seq: Its number.
        ts_us: Its time, us UTC.
        content: Hash of what the database held.
        files: The archived files that counted: path and hash.
    """

    epoch: int
    seq: int
    ts_us: int
    content: str
    files: frozenset[tuple[str, str]]


class Backups(NamedTuple):
    """Backups, and what they hold.

    Attributes:
        base: Their folder.
        older: Earlier versions of it, oldest first.
        known: What is known of commits, in their order.
        config: Settings of their store.
    """

    base: Path
    older: tuple[Path, ...]
    known: tuple[Known, ...]
    config: DatabaseConfig


def counted(config: DatabaseConfig) -> frozenset[tuple[str, str]]:
    """Return the archived files that count in a database: path and hash."""
    _, files = kept_files(config)
    return frozenset((file.path, file.sha256) for file in files if file.replaced_seq is None)


class _Builder:
    """Writes to a store, ships it, and notes each commit."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._rng = random.Random(seed)
        self._folder = folder
        self.clock = ManualClock(NOW_US)
        self.root = folder / "root"
        self.base = folder / "backups"
        self.config = DatabaseConfig(
            database_path=str(self.root / DATABASE_NAME), enable_logs=False, reserve_mb=0
        )
        self.repository = Repository(self.base)
        self.known: list[Known] = []
        self.older: list[Path] = []

    def backup(self, *, compressed: bool) -> BackupConfig:
        return BackupConfig(
            backup_base_path=str(self.base), enable_compression=compressed, segment_interval_s=1e6
        )

    def shipper(self, *, compressed: bool = True) -> Shipper:
        return Shipper(self.config, self.backup(compressed=compressed), self.repository, self.clock)

    def full(self, shipper: Shipper, *, compressed: bool) -> None:
        backup = self.backup(compressed=compressed)
        make_full(self.config, backup, self.repository, shipper.epoch, self.clock.now_us())

    def note(self, shipper: Shipper) -> None:
        """Ship, and note the commit there is now."""
        shipper.poll()
        position, content = content_sha256(self.config)
        copies = ArchiveCopies(self.base)
        for file in kept_files(self.config)[1]:
            if not copies.has(file):
                copies.keep(self.root, file)
        if not self.known or self.known[-1].seq != position.seq:
            self.known.append(
                Known(shipper.epoch, position.seq, position.ts_us, content, counted(self.config))
            )

    def day(self, store: HybridStore, day: int) -> None:
        """Make a day: commits, archived files, segments, a full copy on some, and an older version at its end."""
        compressed = bool(day % 2)
        shipper = self.shipper(compressed=compressed)
        try:
            if shipper.epoch not in {one.epoch for one in self.known} or day == _DAYS - 2:
                self.full(shipper, compressed=compressed)
            for step in range(_STEPS):
                self._write(store, day * _STEPS + step)
                self.note(shipper)
                store.record_balance_update("USDT", Decimal(self._rng.randrange(1, 10**9)).scaleb(-2))
                self.note(shipper)
                if step == 1:
                    store.retention.run()
                    self.note(shipper)
                self.clock.advance(self._rng.randrange(SECOND_US, DAY_US // _STEPS))
                if step < _STEPS - 1:
                    shipper.roll()
        finally:
            shipper.close()
        self.older.append(self._folder / f"older-{len(self.older)}")
        shutil.copytree(self.base, self.older[-1])

    def _write(self, store: HybridStore, number: int) -> None:
        at_us = self.clock.now_us() - 9 * DAY_US
        price = str(self._rng.randrange(100, 10_000))
        store.record_market_trades(
            [
                ("BTC/USDT", number * 10 + place, price, "0.5", "buy", at_us + place * 1_000)
                for place in range(5)
            ]
        )


def build(folder: Path, seed: int) -> Backups:
    """Make backups of several days in three chains: after a gap, and after the store was put back.

    Args:
        folder: An empty folder.
        seed: Of what is drawn.
    """
    builder = _Builder(folder, seed)

    def opened() -> HybridStore:
        return HybridStore(config=builder.config, clock=builder.clock, maintenance="off")

    with opened() as store:
        for day in range(_GAP_AFTER_DAY):
            builder.day(store, day)
    unmark_shipped(builder.root)  # nobody keeps the log any more
    with opened() as store:
        store.record_balance_update("BTC", Decimal(1))
    with opened() as store:
        for day in range(_GAP_AFTER_DAY, _PUT_BACK_AFTER_DAY):
            builder.day(store, day)
    back_to = builder.known[-6]
    restore_in_place(builder.repository, Target(seq=back_to.seq), builder.config)
    with opened() as store:
        for day in range(_PUT_BACK_AFTER_DAY, _DAYS):
            builder.day(store, day)
    return Backups(builder.base, tuple(builder.older[:-1]), tuple(builder.known), builder.config)


# -- damage -----------------------------------------------------------------------------------------------------


def _flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 1, 8))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _cut(path: Path, rng: random.Random) -> None:
    size = path.stat().st_size
    os.truncate(path, rng.choice((rng.randrange(size), size - 1, 0)))


def _cut_line(path: Path, _rng: random.Random) -> None:
    """Cut the last line, or what would be one."""
    content = path.read_bytes()
    path.write_bytes(content[: content[:-1].rfind(b"\n") + 1])


def _append(path: Path, rng: random.Random) -> None:
    with path.open("ab") as file:
        file.write(rng.choice((rng.randbytes(1), rng.randbytes(600), path.read_bytes()[-200:], b"\n")))


def _delete(path: Path, _rng: random.Random) -> None:
    path.unlink()


_WAYS: tuple[Callable[[Path, random.Random], None], ...] = (_flip, _flip, _cut, _cut_line, _append, _delete)


def kind_of(path: Path) -> str:
    """Return what kind of file this is."""
    if path.suffix in (".json", ".jsonl", ".bin") and path.parent.name != "full":
        return path.name
    return "".join(path.suffixes)


def files_of(base: Path) -> list[Path]:
    """Return the files of backups, in an order that is always the same."""
    return sorted(path for path in base.rglob("*") if path.is_file() and path.name not in IRRELEVANT)


def damage(base: Path, older: tuple[Path, ...], rng: random.Random) -> str:
    """Damage a file, exchange two, put one back as it was, or lose the newest; return what was done."""
    files = [path for path in files_of(base) if path.stat().st_size]
    # Every kind of file as often as any other.
    kind = rng.choice(sorted({kind_of(path) for path in files}))
    alike = [path for path in files if kind_of(path) == kind]
    path = rng.choice(alike)
    name = path.relative_to(base)
    way = rng.randrange(len(_WAYS) + 4)
    if way < len(_WAYS):
        _WAYS[way](path, rng)
        return f"{_WAYS[way].__name__} {name}"
    if way == len(_WAYS):
        other = rng.choice(alike)
        mine, theirs = path.read_bytes(), other.read_bytes()
        path.write_bytes(theirs)
        other.write_bytes(mine)
        return f"swap the content of {name} and {other.relative_to(base)}"
    if way == len(_WAYS) + 1:
        other = rng.choice(files)
        mine, theirs = path.read_bytes(), other.read_bytes()
        path.write_bytes(theirs)
        other.write_bytes(mine)
        return f"swap {name} and {other.relative_to(base)}"
    if way == len(_WAYS) + 2:
        return _lose_newest(base, rng)
    before = rng.choice(older) / name
    if before.exists():
        shutil.copy2(before, path)
    else:
        path.unlink()
    return f"put back an older {name}" + ("" if before.exists() else ": none")


def _lose_newest(base: Path, rng: random.Random) -> str:
    newest = sorted(
        (path for path in files_of(base) if path.suffix == ".tail" or ".wal" in path.suffixes),
        key=lambda path: path.name,
    )
    lost = newest[-rng.randrange(1, 4) :]
    for path in lost:
        path.unlink()
    return f"lose {', '.join(path.name for path in lost)}"


# -- what is asked ----------------------------------------------------------------------------------------------


class Question(NamedTuple):
    """A moment that is asked for.

    Attributes:
        target: The moment.
        expected: The commit it is; None where it is before the first.
        behind: Whether it is behind the last commit.
    """

    target: Target
    expected: Known | None
    behind: bool = False


def draw_question(known: tuple[Known, ...], rng: random.Random) -> Question:
    """Draw a moment.

    Args:
        known: What is known of the commits.
        rng: Draws it.
    """
    place, last = rng.randrange(len(known)), known[-1]
    one, following = known[place], known[min(place + 1, len(known) - 1)]
    questions = [
        Question(Target(ts_us=last.ts_us + rng.choice((1, DAY_US))), last, behind=True),
        Question(Target(ts_us=known[0].ts_us - 10 * DAY_US), None),
        Question(Target(), last),
        Question(Target(ts_us=one.ts_us), one),
        Question(Target(seq=one.seq, epoch=_epoch_for(one, known)), one),
        Question(Target(seq=one.seq, epoch=one.epoch), one),
    ]
    if (following.epoch, following.seq) == (one.epoch, one.seq + 1):
        questions.append(Question(Target(ts_us=following.ts_us, inclusive=False), one))
        questions.append(Question(Target(ts_us=rng.randrange(one.ts_us, following.ts_us)), one))
    return rng.choice(questions)


def _epoch_for(one: Known, known: tuple[Known, ...]) -> int | None:
    """Return the chain of a number that may have been given twice; without one it is of the newest."""
    newest = known[-1].epoch
    since = min(other.seq for other in known if other.epoch == newest)
    return None if one.epoch == newest or one.seq < since - 2 * _STEPS else one.epoch


def outcome(backups: Backups, base: Path, question: Question, to: Path) -> str:
    """Restore a moment from damaged backups; return how it went, ``WRONG`` or ``UNNAMED`` where it must not."""
    shutil.rmtree(to, ignore_errors=True)
    try:
        result = restore(Repository(base), question.target, to, backups.config)
    except HybridStoreError as error:
        if to.exists() or list(to.parent.glob(f".{to.name}*")):
            return f"WRONG: something is left of {error}"
        return _judge_error(error, base, question)
    plan = plan_restore(Repository(base), question.target)
    if (plan.seq, plan.exact, plan.epoch) != (result.seq, result.exact, result.epoch):
        return f"WRONG: {plan} said, and {result} done"
    if question.expected is None:
        return f"WRONG: {result} of a moment before the first"
    return _judge_result(backups, question, question.expected, result)


def _judge_error(error: HybridStoreError, base: Path, question: Question) -> str:
    named = error.path is not None and error.path.startswith(str(base))
    if question.expected is None and isinstance(error, BackupError):
        return "before the first"
    if not isinstance(error, BackupError):
        return f"UNNAMED: {type(error).__name__}: {error}"
    if not named and "commit " not in error.message and "chain " not in error.message:
        return f"UNNAMED: {error}"
    return "refused"


def _judge_result(backups: Backups, question: Question, expected: Known, result: RestoreResult) -> str:
    config = msgspec.structs.replace(backups.config, database_path=str(Path(result.root) / DATABASE_NAME))
    position, content = content_sha256(config)
    if position.seq != result.seq or position.ts_us != result.ts_us:
        return f"WRONG: {result} says something else than {position}"
    held = {one.seq: one for one in backups.known if one.epoch == result.epoch}.get(result.seq)
    if result.seq == expected.seq:
        held = expected
    if held is not None:
        if (held.content, held.files) != (content, counted(config)):
            return f"WRONG: not what commit {result.seq} was"
        if any(sha256_file(Path(result.root, path)) != sha256 for path, sha256 in held.files):
            return "WRONG: an archived file is not what it was"
    return _judge_commit(result, expected, question)


def _judge_commit(result: RestoreResult, expected: Known, question: Question) -> str:
    if result.seq != expected.seq and (result.exact or result.seq > expected.seq):
        return f"WRONG: commit {result.seq} for {expected.seq}, exact={result.exact}"
    if result.seq != expected.seq:
        return "earlier, and said so"
    if result.exact and question.behind:
        return "WRONG: exact behind the last commit"
    return "right" if result.exact or question.behind else "right, not said to be exact"
