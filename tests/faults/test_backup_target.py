"""The device of the backups fails or is full: the bot does not notice, and once it works again nothing is missing."""

from __future__ import annotations

import random
import statistics
import threading
import time
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from hybridstore.backup.chain import Target
from hybridstore.backup.restore import restore
from hybridstore.config import DATABASE_NAME
from hybridstore.errors import StorageFull
from hybridstore.hot.copying import content_sha256
from tests.crash.shim import build_shim, run_under
from tests.faults.failing_target import OPERATIONS, Report, Request, Shipping
from tests.faults.tmpfs import Filler, small_disk

_ONCE = ("EIO", "ENOSPC", "EMFILE", "short write")
_LASTING = ("full disk", "dead device")


def _let_fail(
    folder: Path, seed: int, operations: tuple[str, ...], faults: tuple[str, ...], sample: int | None
) -> Report:
    library = build_shim(folder)
    (folder / "work").mkdir()
    request = Request(str(folder / "work"), seed, operations, faults, sample)
    told = run_under(
        library,
        ("-m", "tests.faults.failing_target", msgspec.json.encode(request).decode()),
        100 if sample else 1_700,
    )
    report = msgspec.json.decode(told, type=Report)
    calls = {name: sum(by_fault.values()) for name, by_fault in report.calls.items()}
    print(
        f"{sum(calls.values()):,} calls that can fail {calls}, {report.injected:,} failures injected in"
        f" {report.attempts:,} attempts, errors: {report.errors}, {len(report.problems)} problems"
    )
    return report


@pytest.mark.timeout(120)
def test_a_call_that_fails_leaves_no_gap(tmp_path: Path, seed: int) -> None:
    report = _let_fail(tmp_path, seed, tuple(OPERATIONS), (*_ONCE, *_LASTING), 2)
    assert not report.problems, "\n".join(report.problems)
    assert report.errors.keys() >= {"StorageFull", "StorageFailure"}
    assert report.injected > 60


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_call_that_fails_leaves_a_gap(tmp_path: Path, seed: int, operation: str) -> None:
    report = _let_fail(tmp_path, seed, (operation,), (*_ONCE, *_LASTING), None)
    assert not report.problems, (len(report.problems), "\n".join(report.problems[:20]))
    assert report.injected >= 0.9 * sum(report.calls[operation].values()) > 10


def _assert_latest(shipping: Shipping, to: Path) -> None:
    result = restore(shipping.repository, Target(), to, shipping.config)
    settings = msgspec.structs.replace(shipping.config, database_path=str(to / DATABASE_NAME))
    assert content_sha256(settings) == content_sha256(shipping.config)
    assert result.exact


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("left_kib", [0, 8, 32, 128])
def test_a_full_device_leaves_no_gap(tmp_path: Path, operation: str, left_kib: int) -> None:
    prepare, work, epoch = OPERATIONS[operation]
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, 8) as disk:
        shipping = Shipping(tmp_path / "root", disk / "backups")
        try:
            shipping.write()
            prepare(shipping)
            shipping.gaps.clear()
            filler = Filler(disk / "filler")
            filler.fill(left_kib)
            failed: list[StorageFull] = []
            for _ in range(3):
                try:
                    work(shipping)
                except StorageFull as error:
                    failed.append(error)
                shipping.write()
            print(f"{operation} with {left_kib} KiB left: {len(failed)} of 3 failed")
            assert all(str(error.path).startswith(str(disk)) and error.hint for error in failed)
            assert failed or left_kib or operation == "append"  # which may still fit into the last page
            filler.free()
            for _ in range(2):
                shipping.poll()
                shipping.keep()
                shipping.roll()
                shipping.write()
            shipping.full()
            shipping.write()
            shipping.poll()
            assert shipping.begin().epoch == epoch
            assert len(shipping.gaps) == epoch - 1
            _assert_latest(shipping, tmp_path / "restored")
        finally:
            shipping.close()


def test_a_bot_does_not_notice_a_full_device(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, 8) as disk:
        shipping = Shipping(tmp_path / "root", disk / "backups")
        filler = Filler(disk / "filler")
        try:
            shipping.write()
            shipping.poll()
            shipping.full()
            before_s = _write_while_shipped(shipping, 150)
            filler.fill()
            meanwhile_s = _write_while_shipped(shipping, 150)
            filler.free()
            shipping.poll()
            assert shipping.begin().epoch == 1
            assert not shipping.gaps
            _assert_latest(shipping, tmp_path / "restored")
        finally:
            shipping.close()
    before, meanwhile = statistics.median(before_s), statistics.median(meanwhile_s)
    print(f"median write {1e6 * before:.0f} us, on a full device {1e6 * meanwhile:.0f} us")
    assert meanwhile < 5 * before + 0.005
    assert max(meanwhile_s) < 5


def test_a_device_that_is_full_again_and_again_leaves_no_gap(tmp_path: Path, rng: random.Random) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, 8) as disk:
        shipping = Shipping(tmp_path / "root", disk / "backups", wal_checkpoint_mb=1, wal_limit_mb=8)
        log = Path(f"{shipping.config.path}-wal")
        filler = Filler(disk / "filler")
        generations = set()
        try:
            shipping.write()
            shipping.poll()
            shipping.full()
            for _ in range(12):
                filler.fill(rng.choice((0, 4, 64)))
                _write_while_shipped(shipping, rng.randrange(60, 160))
                if rng.random() < 0.5:
                    shipping.end()
                filler.free()
                with suppress(StorageFull):
                    _write_while_shipped(shipping, rng.randrange(60, 160))
                generations.add(log.read_bytes()[16:24])  # the salts
            shipping.roll()
            shipping.poll()
            assert len(generations) > 1, "the log never began anew"
            assert shipping.begin().epoch == 1
            assert not shipping.gaps
            _assert_latest(shipping, tmp_path / "restored")
        finally:
            shipping.close()


def _write_while_shipped(shipping: Shipping, times: int) -> list[float]:
    """Write while this thread ships; return how long each write took."""
    took_s: list[float] = []

    def write() -> None:
        for number in range(times):
            begun_s = time.perf_counter()
            shipping.store.record_balance_update("BTC", Decimal(number), source="bot")
            took_s.append(time.perf_counter() - begun_s)
            time.sleep(0.002)

    writer = threading.Thread(target=write, name="bot")
    writer.start()
    while writer.is_alive():
        with suppress(StorageFull):
            shipping.poll()
        time.sleep(0.002)
    writer.join()
    assert len(took_s) == times
    return took_s
