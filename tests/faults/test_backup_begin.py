"""A shipper that begins where files of the backups are damaged or gone: it goes on, or says that there is a gap."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hybridstore.backup.chain import Target
from hybridstore.backup.repository import has_full
from hybridstore.backup.restore import restore
from hybridstore.backup.verification import verify_backups
from hybridstore.config import DATABASE_NAME
from hybridstore.errors import BackupCorrupt, BackupError
from hybridstore.hot.copying import content_sha256
from hybridstore.hot.shipped_mark import unmark_shipped
from tests.faults.failing_target import Shipping


def _prepared(folder: Path) -> Shipping:
    """Return a store with backups that nobody writes: a full copy, a segment and a tail."""
    shipping = Shipping(folder / "root", folder / "backups")
    shipping.write()
    shipping.poll()
    shipping.full()
    shipping.write()
    shipping.roll()
    shipping.write()
    shipping.poll()
    shipping.end()
    return shipping


def _delete(pattern: str) -> Callable[[Path], None]:
    def delete(base: Path) -> None:
        for path in list(base.rglob(pattern)):
            path.unlink()

    return delete


def _flip(pattern: str, at: int) -> Callable[[Path], None]:
    def flip(base: Path) -> None:
        for path in base.rglob(pattern):
            content = bytearray(path.read_bytes())
            content[at] ^= 1
            path.write_bytes(content)

    return flip


def _cut(pattern: str) -> Callable[[Path], None]:
    def cut(base: Path) -> None:
        for path in base.rglob(pattern):
            path.write_bytes(path.read_bytes()[:-5])

    return cut


_SPOILT: dict[str, tuple[Callable[[Path], None], int]] = {
    "nothing": (lambda _base: None, 1),
    "one list of chains is gone": (_delete("epochs.jsonl"), 1),
    "one list of chains is damaged": (_flip("epochs.jsonl", 20), 1),
    "the copy of it is damaged": (_cut("epochs-copy.jsonl"), 1),
    "nobody says whose they are": (_delete("repo.json"), 1),
    "it is damaged whose they are": (_flip("repo.json", 20), 1),
    "nobody says what is the newest": (_delete("newest.bin"), 1),
    "the tail is gone": (_delete("*.tail"), 1),
    "the head of the tail is damaged": (_flip("*.tail", 30), 1),
    "the end of the tail is cut": (_cut("*.tail"), 1),
    "the end of the tail is damaged": (_flip("*.tail", -3), 1),
    "the segment is gone": (_delete("*.wal.zst"), 2),
    "the head of the segment is damaged": (_flip("*.wal.zst", 30), 2),
}


def _assert_latest(shipping: Shipping, to: Path) -> None:
    assert restore(shipping.repository, Target(), to, shipping.config).exact
    settings = msgspec.structs.replace(shipping.config, database_path=str(to / DATABASE_NAME))
    assert content_sha256(settings) == content_sha256(shipping.config)


@pytest.mark.parametrize("spoilt", _SPOILT)
def test_a_shipper_goes_on(tmp_path: Path, spoilt: str) -> None:
    spoil, epoch = _SPOILT[spoilt]
    shipping = _prepared(tmp_path)
    try:
        shipping.gaps.clear()
        spoil(shipping.repository.base)
        shipper = shipping.begin()
        shipping.write()
        shipping.poll()
        print(shipping.gaps)
        assert (shipper.epoch, len(shipping.gaps)) == (epoch, epoch - 1)
        if not has_full(shipping.repository, epoch):
            shipping.full()
        shipping.write()
        shipping.roll()
        _assert_latest(shipping, tmp_path / "restored")
        if epoch == 1:
            assert not verify_backups(shipping.repository, "restore", shipping.config).problems
    finally:
        shipping.close()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_disk_that_is_not_there_gets_no_backups_of_the_next(tmp_path: Path, is_there: bool) -> None:  # noqa: FBT001
    shipping = _prepared(tmp_path)
    base = shipping.repository.base
    try:
        shutil.rmtree(base)
        if is_there:
            base.mkdir()
        for _ in range(2):
            with pytest.raises(BackupError, match="is its disk mounted"):
                shipping.begin()
            assert not base.exists() or not any(base.iterdir())
        unmark_shipped(shipping.config.root)
        assert shipping.begin().epoch == 1
        shipping.full()
        shipping.poll()
        _assert_latest(shipping, tmp_path / "restored")
    finally:
        shipping.close()


def test_without_any_list_of_chains_it_is_made_anew(tmp_path: Path) -> None:
    shipping = _prepared(tmp_path)
    try:
        known = shipping.repository.epochs()
        _delete("epochs*.jsonl")(shipping.repository.base)
        with pytest.raises(BackupCorrupt, match=r"epochs\.jsonl"):
            restore(shipping.repository, Target(), tmp_path / "restored", shipping.config)
        assert shipping.begin().epoch == 1
        assert [said[:19] for said in shipping.gaps] == ["the list of chains "]
        assert len(shipping.repository.epochs()) == len(known)
        shipping.poll()
        _assert_latest(shipping, tmp_path / "restored")
    finally:
        shipping.close()
