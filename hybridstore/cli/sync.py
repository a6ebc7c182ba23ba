"""``hybridstore sync``: read what an exchange knows of an account into the store, once or again and again."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from cyclopts import Parameter
from rich.console import Console

from hybridstore.cli.options import Account, Json, Root, existing_root
from hybridstore.cli.printing import print_table, warn
from hybridstore.errors import ConfigError, ExchangeError
from hybridstore.hot.balance_updates import DEFAULT_ACCOUNT
from hybridstore.reports.plain import json_text

if TYPE_CHECKING:
    from hybridstore.integrations.exchange.report import SyncReport

_KEYS = {
    "apiKey": "APIKEY",
    "secret": "SECRET",
    "password": "PASSWORD",
    "uid": "UID",
    "walletAddress": "WALLETADDRESS",
}
"""Settings of ccxt that are taken from the environment, as BINANCE_APIKEY."""


def sync(
    exchange: Annotated[str, Parameter(help="The exchange, by ccxt's name: binance, kraken, ...")],
    *,
    market: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="A market the account trades, as BTC/USDT; several may be given. Default: those that are known.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        Parameter(help="How far back history is wanted: ISO 8601 with a zone. Default: 90 days."),
    ] = None,
    what: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="Of orders, trades, funding, transfers, positions, balances, marks, market_trades. Default: the "
            "account's, which are the first six.",
        ),
    ] = None,
    timeframe: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True, negative="", help="Candles to read beside, as 1h; several may be given."
        ),
    ] = None,
    settings: Annotated[
        Path | None,
        Parameter(
            help="JSON file with ccxt's settings of the exchange: apiKey, secret, options. Keys are also taken from "
            "the environment, as BINANCE_APIKEY and BINANCE_SECRET."
        ),
    ] = None,
    follow: Annotated[bool, Parameter(negative="", help="Read again and again until Ctrl-C.")] = False,
    every_s: Annotated[float, Parameter(help="With --follow: the pause between two readings, s.")] = 10.0,
    account: Account = DEFAULT_ACCOUNT,
    root: Root = None,
    json: Json = False,
) -> None:
    """Read what an exchange knows of an account; exit code 1: rows are missing or refused, or sums differ."""
    from hybridstore.store import HybridStore

    client = _client(exchange, settings)
    wish: dict[str, Any] = {"markets": market, "since": since, "what": what, "timeframes": timeframe or ()}
    with HybridStore(existing_root(root)) as store:
        if follow:
            store.follow(
                client,
                poll_s=every_s,
                on_report=lambda found: _show(found, json=json),
                account=account,
                **wish,
            )
            return
        try:
            with Console(stderr=True).status(f"reading {exchange}"):
                report = store.sync(client, account=account, **wish)
        except ExchangeError as error:
            found: SyncReport | None = getattr(error, "report", None)
            if found is not None:
                _show(found, json=json)
            raise
    _show(report, json=json)
    if not report.is_clean:
        sys.exit(1)


def _client(name: str, settings: Path | None) -> Any:
    try:
        ccxt = importlib.import_module("ccxt")
    except ImportError:
        raise ConfigError("ccxt is not installed", hint="pip install 'hybridstore[ccxt]'") from None
    if name not in ccxt.exchanges:
        raise ConfigError(
            f"ccxt knows no exchange {name!r}", hint="its names are lower case: binance, kraken, okx"
        )
    given = {
        setting: value for setting, variable in _KEYS.items()
        if (value := os.environ.get(f"{name.upper()}_{variable}"))
    }  # fmt: skip
    if settings is not None:
        given |= _read(settings)
    client = getattr(ccxt, name)({"enableRateLimit": True, **given})
    client.number = str
    return client


def _read(settings: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(settings.read_bytes())
    except OSError as error:
        raise ConfigError(f"--settings: {error.strerror or error}", path=str(settings)) from error
    except orjson.JSONDecodeError as error:  # its text may be a key: it is not told
        raise ConfigError("--settings: no JSON", path=str(settings)) from error
    if not isinstance(found, dict):
        raise ConfigError("--settings: no JSON object", path=str(settings))
    return found


def _show(report: SyncReport, *, json: bool) -> None:
    if json:
        sys.stdout.write(json_text(report))
        sys.stdout.flush()
        return
    console = Console()
    rows = [
        (name, each.read, each.new, each.repeated, each.corrected) for name, each in report.streams.items()
    ]
    print_table(console, None, ("kind", "read", "new", "repeated", "corrected"), rows)
    for name, problems in (
        ("missing", report.gaps),
        ("refused", report.refused),
        ("differs", report.differences),
    ):
        for problem in problems:
            warn(console, f"{name}: {problem.stream} {problem.part}: {problem.said}")
    if report.unsupported:
        warn(console, f"{report.exchange} cannot be asked for {', '.join(report.unsupported)}")
