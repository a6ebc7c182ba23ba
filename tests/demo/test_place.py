"""Where a demo may work, and that it never deletes what is not its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hybridstore.demo.place import MARKER, prepare_place
from hybridstore.errors import Conflict

if TYPE_CHECKING:
    from pathlib import Path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_new_or_an_empty_folder_is_taken(tmp_path: Path, *, overwrite: bool) -> None:
    new = tmp_path / "deep" / "new"
    assert prepare_place(new, overwrite=overwrite) == new
    assert names(new) == [MARKER]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert names(prepare_place(empty, overwrite=overwrite)) == [MARKER]


def test_an_earlier_demo_is_deleted_only_when_asked(tmp_path: Path) -> None:
    root = prepare_place(tmp_path / "demo", overwrite=False)
    (root / "trading_bot.db").write_bytes(b"rows")
    with pytest.raises(Conflict, match=r"earlier demo's store.*--overwrite deletes it"):
        prepare_place(root, overwrite=False)
    assert names(root) == [MARKER, "trading_bot.db"]
    assert names(prepare_place(root, overwrite=True)) == [MARKER]


def test_somebody_elses_files_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "trading_bot.db").write_bytes(b"years of trading")
    for overwrite in (False, True):
        with pytest.raises(Conflict, match=r"no demo made.*nothing was touched"):
            prepare_place(tmp_path, overwrite=overwrite)
    assert names(tmp_path) == ["trading_bot.db"]


def test_a_file_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Conflict, match="a file, not a folder"):
        prepare_place(tmp_path / "file", overwrite=True)
