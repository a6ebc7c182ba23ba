"""Archives in another place on the command line: planned, put there, shown, and proven."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US
from tests.test_cli import run  # noqa: F401  a fixture

START_US = 1_723_161_254_340_863
"""2024-08-08."""
Run = Callable[..., tuple[int, str, str]]


def test_what_goes_elsewhere_is_planned_done_and_shown(
    tmp_path: Path,
    run: Run,  # noqa: F811  the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, elsewhere = tmp_path / "store", tmp_path / "other disk"
    with HybridStore(root, clock=ManualClock(START_US)) as store:
        store.record_market_trades([("BTC/USDT", 1, "60000.1", "0.5", "buy", START_US)])
    assert run("retention", "run", "--root", str(root))[0] == 0
    monkeypatch.setenv("HYBRIDSTORE_ARCHIVE_URL", elsewhere.as_uri())
    code, out, _ = run("retention", "plan", "--root", str(root), "--json")
    (planned,) = json.loads(out)["planned"]
    assert (code, planned["what"], planned["tier"], planned["rows"]) == (0, "offload", "frozen", 1)
    assert not elsewhere.exists(), "a plan changes nothing"
    code, out, _ = run("retention", "run", "--root", str(root))
    assert (code, "1 files were put into the object store" in " ".join(out.split())) == (0, True), out
    (file,) = (path for path in elsewhere.rglob("*") if path.is_file())
    assert (root / file.relative_to(elsewhere)).read_bytes() == file.read_bytes()
    code, out, _ = run("retention", "status", "--root", str(root))
    assert (code, f"{elsewhere.as_uri()}: 1 files" in out.replace("\n", " ")) == (0, True)
    assert run("verify", "--root", str(root), "--mode", "quick")[0] == 0
    file.write_bytes(b"x")
    code, out, err = run("verify", "--root", str(root), "--mode", "quick")
    assert (code, "the object has 1 bytes" in " ".join((out + err).split())) == (1, True)


def test_a_url_that_is_none_is_said(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    with HybridStore(tmp_path, clock=ManualClock(START_US + DAY_US)):
        pass
    monkeypatch.setenv("HYBRIDSTORE_ARCHIVE_URL", "bucket")
    code, _, err = run("retention", "run", "--root", str(tmp_path))
    assert (code, "archive_url='bucket'" in err, "s3://bucket/prefix" in err) == (1, True, True)
