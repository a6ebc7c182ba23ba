"""``hybridstore sync`` as a user runs it, against an exchange on loopback."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hybridstore import HybridStore
from tests.exchanges.account import Account
from tests.exchanges.server import binance, ccxt_or_skip, exchange_server, recorded_answers


def run(root: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hybridstore", "sync", *words, "--root", str(root)],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "COLUMNS": "200", **environment},
    )  # fmt: skip


def test_an_account_is_read_from_the_command_line(tmp_path: Path, rng: random.Random) -> None:
    account = Account(recorded_answers(), int(time.time() * 1000))
    account.trade("BTCUSDT", rng, account.now_ms - 5000, parts=2)
    root, settings = tmp_path / "root", tmp_path / "keys.json"
    with exchange_server(account.answer) as server, HybridStore(root):
        real = binance(ccxt_or_skip(), server.url)
        settings.write_text(
            json.dumps(
                {
                    "urls": {"api": real.urls["api"]},
                    "options": real.options,
                    "has": {"fetchCurrencies": False},
                }
            )
        )
        words = ("binance", "--market", "BTC/USDT", "--settings", str(settings))
        keys = {"BINANCE_APIKEY": "key", "BINANCE_SECRET": "secret"}
        first = run(root, *words, "--json", **keys)
        assert first.returncode == 0, first.stderr
        assert json.loads(first.stdout)["streams"]["trades"] == {
            "read": 2,
            "new": 2,
            "repeated": 0,
            "corrected": 0,
        }
        account.lost.add(account.fills["BTCUSDT"][-1]["id"])
        second = run(root, *words, **keys)
        assert second.returncode == 1
        assert "missing: trades BTC/USDT:" in second.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "ccxt knows no exchange 'nowhere'"),
        (("binance", "--settings", "absent.json"), "--settings: No such file"),
        (("binance", "--settings", "keys.txt"), "--settings: no JSON"),
        (("binance", "--what", "everything"), "what='everything'"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    ccxt_or_skip()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys.txt").write_text("secret-key")
    HybridStore(tmp_path / "root").open().close()
    done = run(tmp_path / "root", *words)
    assert done.returncode == 1
    assert said in done.stderr.replace("\n", " ")
    assert "secret-key" not in done.stdout + done.stderr
