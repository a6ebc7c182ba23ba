"""Questions on the command line: cancelled, of the past, one after the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hybridstore import HybridStore
from hybridstore.schema.types import moment
from tests.test_cli import run  # noqa: F401  a fixture

Run = Callable[..., tuple[int, str, str]]
REPOSITORY = Path(__file__).resolve().parent.parent
ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range % 7 = b.range % 11"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with two balances of one asset, one after the other."""
    folder = tmp_path / "store"
    with HybridStore(folder) as store:
        store.record_balance_update("BTC", 1, 0, "test")
        store.record_balance_update("BTC", 2, 0, "test")
    return folder


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start a command as the installed script would."""
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "hybridstore", *arguments],
        env=os.environ | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="a console's Ctrl-C cannot be sent to one process there")
def test_a_question_is_cancelled_with_ctrl_c(root: Path) -> None:
    with start("query", ENDLESS, "--root", str(root)) as child:
        time.sleep(2)
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (130, ""), err


def test_a_question_of_the_past_is_answered_as_it_was_known(root: Path, run: Run) -> None:  # noqa: F811
    with HybridStore(root) as store:
        first_us, last_us = (
            row[0]
            for row in store.database.readers.rows("SELECT recorded_at FROM balance_history ORDER BY id")
        )
    question = ("query", "SELECT count(*) AS known FROM balance_history", "--root", str(root), "-f", "csv")
    assert run(*question, "--as-known-at", moment(first_us).isoformat())[1] == "known\n1\n"
    assert run(*question, "--as-known-at", moment(last_us).isoformat())[1] == "known\n2\n"
    assert run(*question)[1] == "known\n2\n"
    assert run(*question, "--as-known-at", "2020-01-01")[0] == 1
    code, _, err = run("query", ENDLESS, "--root", str(root), "--timeout-s", "0.2")
    assert (code, "took longer than 0.2 s" in " ".join(err.split())) == (1, True)


def test_a_shell_answers_one_question_after_the_other(root: Path) -> None:
    with HybridStore(root) as store:
        ((first_us,),) = store.database.readers.rows("SELECT min(recorded_at) FROM balance_history")
    typed = f"""
.format csv
SELECT asset, balance
FROM balances;
.columns balances
.datasets
SELECT * FROM balance;
.nothing
.known {moment(first_us).isoformat()}
SELECT count(*) AS rows
FROM balance_history
;
.known
SELECT sum(change) AS change FROM balance_history"""
    with start("shell", "--root", str(root)) as child:
        out, err = child.communicate(typed, timeout=60)
    assert child.returncode == 0, err
    answers = "".join(out.split())
    for told in ("asset,balanceBTC,2", "rows1", "change1"):
        assert told in answers, (told, out)
    for told in ("balance_history", "available"):
        assert told in out
    said = " ".join(err.split())
    for told in ("did you mean balances", "'.nothing' is no command of the shell"):
        assert told in said, (told, said)


def test_a_shell_ends_when_it_is_told_to(root: Path) -> None:
    with start("shell", "--root", str(root)) as child:
        out, err = child.communicate(".help\n.exit\nSELECT 1;\n", timeout=60)
    assert (child.returncode, err) == (0, "")
    assert ".columns DATASET" in out
    assert "1\n" not in out.partition(".exit")[2]
