"""Lets system calls on the device of the backups fail, in a process under ``tests/crash/shim.c``.

``python -m tests.faults.failing_target REQUEST`` takes a JSON object (see :class:`Request`) and prints one
(:class:`Report`). The store itself is elsewhere: its bot must not notice anything.
"""

from __future__ import annotations

import errno
import random
import shutil
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from hybridstore import HybridStore, ManualClock
from hybridstore.backup import shipper as shipper_module
from hybridstore.backup.archive_copies import ArchiveCopies, kept_files
from hybridstore.backup.chain import Target
from hybridstore.backup.full import make_full
from hybridstore.backup.repository import Repository, has_full
from hybridstore.backup.restore import restore
from hybridstore.backup.shipper import Shipper
from hybridstore.clock import DAY_US
from hybridstore.config import DATABASE_NAME, BackupConfig, DatabaseConfig
from hybridstore.errors import BackupCorrupt, HybridStoreError, StoreCorrupt
from hybridstore.hot.copying import content_sha256
from hybridstore.hot.shipped_mark import unmark_shipped
from tests.crash.shim import Fired, Shim
from tests.faults.errno_process import FAULTS, Fault

NOW_US = 20_600 * DAY_US + DAY_US // 3
_NEVER = 1 << 40
_CLEAN_MIN = 3
_WRITE_MAX_S = 2.0
"""Far more than any write takes, and far less than waiting for a device that failed."""


class Request(msgspec.Struct, frozen=True):
    """What is to fail.

    Attributes:
        folder: An empty folder to work in.
        seed: Of what is drawn.
        operations: Names of :data:`OPERATIONS`.
        faults: Names of :data:`tests.faults.errno_process.FAULTS`.
        sample: How many calls of each operation fail with each fault; None for every one.
    """

    folder: str
    seed: int
    operations: tuple[str, ...]
    faults: tuple[str, ...]
    sample: int | None = None


class Report(msgspec.Struct):
    """What came of it.

    Attributes:
        calls: By operation and fault, how many calls there are that can fail so.
        attempts: How often the work was done.
        injected: How many of the attempts met a failure.
        errors: How many raised an error, by its kind.
        problems: What was wrong.
    """

    calls: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    attempts: int = 0
    injected: int = 0
    errors: dict[str, int] = msgspec.field(default_factory=dict)
    problems: list[str] = msgspec.field(default_factory=list)


class Shipping:
    """A store that is written to, and its backups on another device.

    Args:
        root: The store's folder.
        base: The folder of the backups.
        settings: More of the store's settings.
    """

    def __init__(self, root: Path, base: Path, **settings: Any) -> None:
        self.clock = ManualClock(NOW_US)
        path = str(root / DATABASE_NAME)
        self.config = DatabaseConfig(database_path=path, enable_logs=False, reserve_mb=0, **settings)
        self.backup = BackupConfig(backup_base_path=str(base), segment_interval_s=1e6)
        self.repository = Repository(base)
        self.open()
        self.shipper: Shipper | None = None
        self.gaps: list[str] = []
        self.slowest_s = 0.0
        self._written = 0

    def open(self) -> None:
        """Open the store."""
        self.store = HybridStore(config=self.config, clock=self.clock, maintenance="off")
        self.store.open()

    def write(self) -> None:
        """Write as a bot does."""
        begun_s = time.monotonic()
        for _ in range(3):
            self._written += 1
            self.store.record_balance_update("BTC", Decimal(self._written), source="bot")
            self.clock.advance(1_000)
        self.slowest_s = max(self.slowest_s, time.monotonic() - begun_s)

    def archive(self) -> None:
        """Have something in the archives."""
        at_us = self.clock.now_us() - 20 * DAY_US
        self.store.record_market_trades(
            [("BTC/USDT", number, "100", "0.5", "buy", at_us + number) for number in range(20)]
        )
        self.store.retention.run()

    def begin(self) -> Shipper:
        """Return the shipper; there is one from now on."""
        if self.shipper is None:
            self.shipper = Shipper(self.config, self.backup, self.repository, self.clock, self.gaps.append)
        return self.shipper

    def end(self) -> None:
        """Close the shipper, as the end of its process does."""
        if self.shipper is not None:
            self.shipper.close()
            self.shipper = None

    def poll(self) -> None:
        self.begin().poll()

    def roll(self) -> None:
        self.begin().poll()
        self.begin().roll()

    def full(self) -> None:
        epoch = self.begin().epoch
        make_full(self.config, self.backup, self.repository, epoch, self.clock.now_us())

    def keep(self) -> None:
        """Copy archived files."""
        copies = ArchiveCopies(self.repository.base)
        for file in kept_files(self.config)[1]:
            if not copies.has(file):
                copies.keep(self.config.root, file)

    def close(self) -> None:
        self.end()
        self.store.close()


def _nothing(_shipping: Shipping) -> None:
    pass


def _begun(shipping: Shipping) -> None:
    shipping.poll()
    shipping.full()
    shipping.write()
    shipping.poll()


def _rolled(shipping: Shipping) -> None:
    _begun(shipping)
    shipping.roll()
    shipping.write()


def _appending(shipping: Shipping) -> None:
    _begun(shipping)
    shipping.write()


def _ended(shipping: Shipping) -> None:
    _rolled(shipping)
    shipping.poll()
    shipping.write()
    shipping.end()


def _gap(shipping: Shipping) -> None:
    _begun(shipping)
    shipping.end()
    unmark_shipped(shipping.config.root)
    shipping.store.close()
    shipping.open()
    shipping.write()


def _archived(shipping: Shipping) -> None:
    _begun(shipping)
    shipping.archive()


def _burst(shipping: Shipping) -> None:
    """Ship so much at once that it does not go into the tail."""
    with patch.object(shipper_module, "BURST_BYTES", 1):
        shipping.poll()


def _all(shipping: Shipping) -> None:
    shipping.roll()
    shipping.keep()
    shipping.full()
    shipping.write()
    shipping.poll()


OPERATIONS: dict[str, tuple[Callable[[Shipping], None], Callable[[Shipping], None], int]] = {
    "begin": (_nothing, Shipping.poll, 1),
    "go on": (_ended, Shipping.poll, 1),
    "begin anew": (_gap, Shipping.poll, 2),
    "append": (_appending, Shipping.poll, 1),
    "first append": (_rolled, Shipping.poll, 1),
    "roll": (_appending, Shipping.roll, 1),
    "burst": (_appending, _burst, 1),
    "full copy": (_appending, Shipping.full, 1),
    "archive copy": (_archived, Shipping.keep, 1),
    "all": (_archived, _all, 1),
}
"""What is done before, what fails, and the chain that is written in the end."""


class Sweep:
    """Does one operation again and again, each time with another failure."""

    def __init__(self, folder: Path, name: str, report: Report) -> None:
        self._folder, self._name, self._report = folder, name, report
        self._prepare, self._work, self._epoch = OPERATIONS[name]
        self._target = folder / "target"
        self._tails: dict[Path, int] = {}
        self._shim = Shim(self._target, skips_syncs=True)

    def calls(self, fault_name: str) -> int:
        """Return how many calls can fail so."""
        return self._attempt(fault_name, _NEVER).seen

    def sweep(self, fault_name: str) -> int:
        """Let the first call fail, then the second, until none does; return how many did."""
        number = last = 0
        while number - last < _CLEAN_MIN:
            number += 1
            if self._attempt(fault_name, number).fired:
                last = number
        return last

    def attempt(self, fault_name: str, number: int) -> None:
        """Let one call fail."""
        self._attempt(fault_name, number)

    def _attempt(self, fault_name: str, number: int) -> Fired:
        fault = FAULTS[fault_name]
        for name in ("target", "root", "restored"):
            shutil.rmtree(self._folder / name, ignore_errors=True)
        self._target.mkdir()
        self._report.attempts += 1
        shipping = Shipping(self._folder / "root", self._target / "backups")
        error: Exception | None = None
        try:
            shipping.write()
            self._prepare(shipping)
            known = shipping.begin().clock_row.seq if shipping.shipper else None
            shipping.gaps.clear()
            self._tails = {path: path.stat().st_ino for path in self._target.rglob("*.tail")}
            self._shim.arm(number, fault.error, fault.kinds, lasts=fault.lasts)
            try:
                self._work(shipping)
            except Exception as raised:  # noqa: BLE001  what it may be is judged below
                error = raised
            shipping.write()  # the bot goes on
            fired = self._shim.disarm()
            try:
                problem = self._judge_error(error, fault, fired) or self._recover(
                    shipping, number, known, fired
                )
            except Exception as raised:  # noqa: BLE001  the sweep goes on: all problems are told
                problem = f"then {type(raised).__name__}: {raised}"
        finally:
            self._shim.disarm()
            shipping.close()
        self._report.injected += bool(fired.fired)
        if problem is not None:
            where = f"{self._name}, {fault_name} at call {number} ({fired.first})"
            self._report.problems.append(f"{where}: {problem}; raised {error!r}")
        return fired

    def _judge_error(self, error: Exception | None, fault: Fault, fired: Fired) -> str | None:
        if error is None:
            return None
        kind = type(error).__name__
        self._report.errors[kind] = self._report.errors.get(kind, 0) + 1
        if not isinstance(error, HybridStoreError):
            return "that is not ours"
        if isinstance(error, BackupCorrupt) or (isinstance(error, StoreCorrupt) and fault.error != errno.EIO):
            return "damage is told where there is none"
        if not fired.fired:
            return "nothing had failed"
        return None if error.path else "it does not name a file"

    def _recover(self, shipping: Shipping, number: int, known: int | None, fired: Fired) -> str | None:
        """Say what is wrong once the device works again, with the same shipper or a new one."""
        if shipping.slowest_s > _WRITE_MAX_S:
            return f"a write took {shipping.slowest_s:.1f} s"
        if number % 2:
            shipping.end()
        shipper = shipping.begin()
        shipping.poll()
        if (problem := self._unflushed(fired)) is not None:
            return problem
        shipping.write()
        shipping.poll()
        middle, _ = content_sha256(shipping.config)
        shipping.keep()
        if not has_full(shipping.repository, shipper.epoch):
            shipping.full()
        shipping.write()
        shipping.poll()
        if shipper.epoch != self._epoch or len(shipping.gaps) > self._epoch - 1:
            return f"chain {shipper.epoch}, not {self._epoch}: {shipping.gaps}"
        left = [str(path) for path in self._target.rglob(".*.tmp")] if number % 2 else []
        if left:  # whoever begins removes it
            return f"left over: {left}"
        return self._compare_all(shipping, middle.seq if known else None, rolls=number % 3 == 0)

    def _compare_all(self, shipping: Shipping, middle: int | None, *, rolls: bool) -> str | None:
        problem = self._compare(shipping, Target())
        if problem is None and rolls:
            shipping.roll()
            shipping.write()
            shipping.poll()
            problem = self._compare(shipping, Target())
        if problem is None and middle is not None:
            to = self._folder / "restored"
            if not restore(shipping.repository, Target(seq=middle), to, shipping.config).exact:
                problem = "a moment in the middle is not exact"
        return problem

    def _unflushed(self, fired: Fired) -> str | None:
        """Say whether a tail that could not be flushed is still the same file: what of it is on the device?"""
        call, _, name = fired.first.partition(" ")
        path = self._target / name
        if (
            "sync" in call
            and path in self._tails
            and path.exists()
            and path.stat().st_ino == self._tails[path]
        ):
            return "the tail was not written anew"
        return None

    def _compare(self, shipping: Shipping, target: Target) -> str | None:
        to = self._folder / "restored"
        result = restore(shipping.repository, target, to, shipping.config)
        settings = msgspec.structs.replace(shipping.config, database_path=str(to / DATABASE_NAME))
        found, live = content_sha256(settings), content_sha256(shipping.config)
        shutil.rmtree(to)
        if found != live:
            return f"the latest moment is {found[0]}, not {live[0]}"
        return None if result.exact else "the latest moment is not said to be exact"


def run(request: Request) -> Report:
    """Do what is asked for.

    Args:
        request: What is to fail.
    """
    report, rng = Report(), random.Random(request.seed)
    for name in request.operations:
        folder = Path(request.folder, name.replace(" ", "-"))
        folder.mkdir()
        sweep = Sweep(folder, name, report)
        for fault_name in request.faults:
            if request.sample is None:
                calls = sweep.sweep(fault_name)
            else:
                calls = sweep.calls(fault_name)
                for number in rng.sample(range(1, calls + 1), min(request.sample, calls)):
                    sweep.attempt(fault_name, number)
            report.calls.setdefault(name, {})[fault_name] = calls
        shutil.rmtree(folder)
    return report


if __name__ == "__main__":
    print(msgspec.json.encode(run(msgspec.json.decode(sys.argv[1], type=Request))).decode())
