"""``hybridstore import`` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hybridstore import HybridStore
from hybridstore.cli import importing
from hybridstore.cli.app import IMPORT

SPOT = Path(__file__).parent / "importing" / "freqtrade-2026.9-spot.sqlite"


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "hybridstore", "import", *words, "--root", str(root)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the folder of an empty store."""
    with HybridStore(tmp_path / "root", maintenance="off"):
        return tmp_path / "root"


def test_each_command_says_what_its_function_does() -> None:
    for name, told in IMPORT.items():
        assert getattr(importing, name).__doc__ == told


def test_a_database_of_freqtrade_is_told_and_imported(root: Path) -> None:
    dry = run(root, "freqtrade", str(SPOT), "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "nothing is recorded" in dry.stdout
    assert "76 of 76 closed trades came out again" in dry.stdout
    assert "flagged synthetic_id" in " ".join(dry.stdout.split())

    done = run(root, "freqtrade", str(SPOT), "--account", "ft", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 0
    assert told["kinds"]["fills"] == {"read": 242, "new": 242, "repeated": 0, "corrected": 0}
    assert len(told["profits"]) == 76
    assert all(isinstance(one["told"], str) for one in told["profits"])


def test_refused_rows_are_named_and_the_exit_code_says_so(root: Path, tmp_path: Path) -> None:
    path, mapping = tmp_path / "fills.csv", tmp_path / "mapping.toml"
    path.write_text(
        "symbol,side,price,amount,time\nBTC/USDT,buy,1,1,2026-03-01T00:00:00Z\nBTC/USDT,up,1,1,2026-03-01T00:00:00Z\n"
    )
    assert (
        run(root, "rows", str(path), "--dataset", "trades", "--write-mapping", str(mapping)).returncode == 0
    )
    assert 'executed_at = "time"' in mapping.read_text()
    done = run(root, "rows", str(path), "--mapping", str(mapping))

    assert done.returncode == 1
    assert "refused: trades row 2: side='up'" in done.stdout
    wrong = run(root, "rows", str(path))
    assert wrong.returncode == 1
    assert "it is not said what the rows are" in " ".join(wrong.stderr.split())


def test_a_database_that_is_none_is_an_error_in_one_sentence(root: Path, tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_text("no database")
    done = run(root, "hummingbot", str(tmp_path / "x.sqlite"))

    assert done.returncode == 1
    assert "is no SQLite database" in " ".join(done.stderr.split())
