"""Backups on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybridstore import HybridStore
from hybridstore.cli.app import BACKUP, FETCH
from tests.test_cli import run  # noqa: F401  a fixture

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with one balance."""
    folder = tmp_path / "store"
    with HybridStore(folder) as store:
        store.record_balance_update("BTC", 1, 0, "test")
    return folder


def test_a_store_is_backed_up_looked_at_and_restored(root: Path, tmp_path: Path, run: Run) -> None:  # noqa: F811
    def ask(*arguments: str) -> Any:
        code, out, err = run("backup", *arguments, "--root", str(root), "--json")
        assert code == 0, err
        return json.loads(out)

    code, out, err = run("backup", "status", "--root", str(root))
    assert (code, "no backup of this store has been made" in out) == (0, True), err
    full = ask("now")
    assert Path(full["path"]).is_file()
    marked = ask("mark", "one")
    with HybridStore(root) as store:
        store.record_balance_update("BTC", 2, 0, "test")
    assert ask("now", "--incremental")["last_commit"] == marked["seq"] + 1
    (point,) = ask("list")["restore_points"]
    assert (point["seq_first"], point["seq_last"]) == (full["seq"], marked["seq"] + 1)
    assert ask("restore", "one", "--dry-run")["seq"] == marked["seq"]
    restored = ask("restore", "one", str(tmp_path / "one"))
    assert (restored["seq"], restored["exact"], restored["aside"]) == (marked["seq"], True, None)
    assert ask("verify", "--level", "restore")["holds"]
    assert ask("expire", "--dry-run")["files"] == []
    assert ask("expire")["files"] == []
    back = ask("restore", "one", "--in-place")
    assert Path(back["aside"]).is_dir()
    with HybridStore(root) as store:
        balance = store.get_latest_balance("BTC")
        assert balance is not None
        assert balance.balance == 1


def test_people_are_told_in_sentences(root: Path, tmp_path: Path, run: Run) -> None:  # noqa: F811
    for arguments, told in (
        (("now",), "bytes in"),
        (("now", "--incremental"), "is safe in"),
        (("mark", "one"), "is marked one"),
        (("list",), "mark one: commit"),
        (("status",), "last full backup: 20"),
        (("verify",), "everything is as it should be"),
        (("expire", "--dry-run"), "would be deleted"),
        (("restore", "one", "--dry-run"), "from 20"),
        (("restore", "one", str(tmp_path / "one")), "restored commit"),
    ):
        code, out, err = run("backup", *arguments, "--root", str(root))
        assert (code, told in " ".join(out.split())) == (0, True), (arguments, out, err)


def test_a_restore_needs_no_store(root: Path, tmp_path: Path, run: Run) -> None:  # noqa: F811
    assert run("backup", "now", "--root", str(root))[0] == 0
    (root / "backups").rename(tmp_path / "disk")
    new = tmp_path / "new"
    code, out, err = run(
        "backup", "restore", "latest", str(new), "--from", str(tmp_path / "disk"), "--root", str(new)
    )
    assert (code, "restored commit" in out) == (0, True), err
    with HybridStore(new) as store:
        assert store.get_latest_balance("BTC") is not None


def test_what_cannot_be_done_is_said(root: Path, tmp_path: Path, run: Run) -> None:  # noqa: F811
    assert run("backup", "now", "--root", str(root))[0] == 0
    for arguments, told in (
        (("restore", "latest"), "give a folder, or --in-place"),
        (("restore", "nothing", str(tmp_path / "x")), "no moment is marked 'nothing'"),
        (("restore", "2020-01-01T00:00:00Z", str(tmp_path / "x")), "before the first full backup"),
        (("mark", "latest"), "begin with a letter"),
    ):
        code, _, err = run("backup", *arguments, "--root", str(root))
        assert (code, told in " ".join(err.split())) == (1, True), err
    code, _, err = run("backup", "list", "--root", str(tmp_path / "nowhere"))
    assert (code, "there are no backups here" in err) == (1, True)
    full = next((root / "backups").glob("*/full/*.zst"))
    full.write_bytes(b"damaged")
    code, out, _ = run("backup", "verify", "--root", str(root))
    assert (code, full.name in out) == (1, True)


def test_copies_elsewhere_come_back(root: Path, tmp_path: Path, run: Run) -> None:  # noqa: F811
    url = (tmp_path / "elsewhere").as_uri()
    (root / "hybridstore.toml").write_text(f'[backup]\nmirror_url = "{url}"\n')
    for arguments, told in (
        (("now", "--root", str(root)), "bytes in"),
        (("status", "--root", str(root)), "mirrored at: 20"),
        (("fetch", url, str(tmp_path / "fetched")), "Next: hybridstore backup restore latest"),
        (
            ("restore", "latest", str(tmp_path / "back"), "--from", str(tmp_path / "fetched")),
            "restored commit",
        ),
    ):
        code, out, err = run("backup", *arguments)
        assert (code, told in " ".join(out.split())) == (0, True), (out, err)
    code, out, _ = run("backup", "fetch", url, str(tmp_path / "fetched"), "--json")
    assert (code, json.loads(out)["files"]) == (0, 0)
    with HybridStore(tmp_path / "back") as store:
        balance = store.get_latest_balance("BTC")
        assert balance is not None
        assert balance.balance == 1
    code, _, err = run("backup", "fetch", (tmp_path / "nothing").as_uri(), str(tmp_path / "other"))
    assert (code, "there are no backups below this URL" in " ".join(err.split())) == (1, True)


def test_every_command_says_what_it_does(run: Run) -> None:  # noqa: F811
    for name, told in {**BACKUP, "fetch": FETCH}.items():
        code, out, _ = run("backup", name, "--help")
        assert (code, " ".join(told.split())[:40] in " ".join(out.split())) == (0, True)
