"""Figures of performance: equal to empyrical's wherever the definitions are the same, else said why not."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import duckdb
import pytest

from hybridstore.books.returns import about
from tests.conftest import recorded_data

TOLERANCE = 1e-9
OF_DAYS = "captured of days there, of months here"
DIFFERENT = {"test_capture_ratio": OF_DAYS, "test_down_capture": OF_DAYS, "test_up_capture": OF_DAYS}
CONVERTED = {
    "test_excess_sharpe": "the information ratio, not of a year: ours / sqrt(252)",
    "test_alpha_beta": "alpha compounded: (1 + ours / 252)^252 - 1; beta as it is",
    "test_alpha": "alpha compounded",
    "test_beta": "beta as it is",
}
NOT_TOLD = {
    "test_simple_returns": "returns come from equity and flows, not from prices",
    "test_aggregate_returns": "the page shows months and years, computed as the return of all is",
    "test_stability_of_timeseries": "no figure of ours",
    "test_tail_ratio": "no figure of ours",
}
ANNUALISATION = {"daily": 252.0, "weekly": 52.0, "monthly": 12.0, "yearly": 1.0}


def load_cases() -> list[dict[str, Any]]:
    """Return the cases, or none where the data is absent."""
    path = recorded_data() / "metrics" / "empyrical_reloaded_expected_metrics.json"
    if not path.exists():
        return []
    cases: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return cases


def ask(
    returns: Sequence[float],
    benchmark: Sequence[float | None] | None = None,
    *,
    risk_free: float = 0.0,
    annualisation: float = 252.0,
    days: Sequence[dt.date] | None = None,
) -> dict[str, float | None]:
    """Compute every figure of some returns."""
    parameters = {
        "days": list(days or [dt.date(2000, 1, 1) + dt.timedelta(n) for n in range(len(returns))]),
        "returns": list(returns),
        "benchmark": list(benchmark if benchmark is not None else [None] * len(returns)),
        "risk_free": risk_free,
        "annualisation": annualisation,
    }
    with duckdb.connect() as connection:
        answer = connection.execute(about("figures"), parameters)
        names = [column[0] for column in answer.description][1:]
        _part, *row = answer.fetchone() or [None] * (len(names) + 1)  # of nothing there is nothing
        values = [None if value is None or not math.isfinite(value) else value for value in row]
        return dict(zip(names, values, strict=True))


def series(argument: Any) -> dict[dt.date, float]:
    """Return a series by its days; without those that have no value."""
    if not isinstance(argument, dict):
        raise TypeError(argument)
    values = zip(days_of(argument), argument["values"], strict=True)
    return {day: float(value) for day, value in values if value is not None and not math.isnan(value)}


def days_of(argument: Any) -> list[dt.date]:
    """Return the days of a series."""
    return [dt.date.fromisoformat(day[:10]) for day in argument["index"]]


CASES = load_cases()
COUNT_MISSING = {"test_annual_ret", "test_cagr", "test_calmar"}
"""There a day without a return is a day all the same; here every day has one."""
SIMPLE: dict[str, Callable[[dict[str, Any]], str]] = {
    "test_cum_returns_final": lambda _: "total_return",
    "test_max_drawdown": lambda _: "max_drawdown",
    "test_annual_ret": lambda _: "cagr",
    "test_cagr": lambda _: "cagr",
    "test_annual_volatility": lambda _: "volatility",
    "test_calmar": lambda _: "calmar",
    "test_sharpe_ratio": lambda _: "sharpe",
    "test_sortino": lambda _: "sortino",
    "test_downside_risk": lambda _: "downside_risk",
    "test_omega": lambda _: "omega",
}


def covered(case: dict[str, Any]) -> str | None:
    """Say why a case is none of ours; None where it is."""
    args = case["args"]
    if any(isinstance(one, dict) and one["type"] == "frame" for one in args.values()):
        return "several accounts at once: each is asked for by itself"
    if case["test"] in DIFFERENT:
        return DIFFERENT[case["test"]]
    if case["test"] in NOT_TOLD:
        return NOT_TOLD[case["test"]]
    if case["test"] == "test_omega" and args["required_return"]:
        return "a required return a year apart from the risk-free rate is no parameter of ours"
    if args.get("starting_value"):
        return "growth of an amount: the return is the same, and is compared in another case"
    return None


@pytest.mark.skipif(not CASES, reason="the recorded cases are absent (HYBRIDSTORE_TEST_DATA)")
def test_every_case_of_empyrical_that_is_ours_agrees() -> None:
    agreed = undefined = rounded = 0
    left_out: dict[str, str] = {}
    for case in CASES:
        why = covered(case)
        if why is not None:
            left_out[case["id"]] = why
            continue
        if case["test"] == "test_cum_returns":
            rounded += _compare_growth(case)
            continue
        if case["test"] in CONVERTED:
            agreed += _compare_converted(case)
            continue
        value, expected = _value_of(case), case["args"]["expected"]
        if expected is None or not math.isfinite(expected):  # a ratio to 0 is infinite there, and none here
            assert value is None or case["test"] == "test_max_drawdown", case["id"]
            undefined += 1
        elif value == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE):
            agreed += 1
        else:
            assert value == pytest.approx(expected, abs=rounding(expected)), case["id"]
            rounded += 1
    print(
        f"{len(CASES)} cases: {agreed} agree to {TOLERANCE:g}, {undefined} are undefined in both, {len(left_out)} are"
    )
    for why in sorted(set(left_out.values())):
        print(f"  {sum(one == why for one in left_out.values())} not ours: {why}")
    assert agreed >= 45
    assert agreed + undefined + rounded + len(left_out) == len(CASES)


def rounding(expected: float) -> float:
    """Return by how much a recorded value may be rounded: by its last decimal, where it has four to eight of them."""
    decimals = len(repr(expected).partition(".")[2])
    return 10.0**-decimals if 4 <= decimals <= 9 else 0.0


def _value_of(case: dict[str, Any]) -> float | None:
    args, returns = case["args"], series(case["args"]["returns"])
    if case["test"] in COUNT_MISSING:
        returns = {day: returns.get(day, 0.0) for day in days_of(args["returns"])}
    annualisation = ANNUALISATION[args.get("period", "daily")]
    rate = args.get("risk_free", args.get("required_return", 0.0))
    rates = series(rate) if isinstance(rate, dict) else dict.fromkeys(returns, float(rate))
    values = [
        value - rates.get(day, 0.0) for day, value in returns.items()
    ]  # a rate of a day there, of a year here
    row = ask(values, annualisation=annualisation, days=list(returns))
    return row[SIMPLE[case["test"]](case)]


def _compare_growth(case: dict[str, Any]) -> int:
    returns, expected = list(series(case["args"]["returns"]).values()), case["args"]["expected"]
    for count in range(1, len(returns) + 1):
        value = ask(returns[:count])["total_return"]
        assert value == pytest.approx(expected[-len(returns) :][count - 1], abs=1e-4), case["id"]
    return 1


def _compare_converted(case: dict[str, Any]) -> int:
    """Compare what is told in another form there: see :data:`CONVERTED`."""
    args, returns = case["args"], series(case["args"]["returns"])
    factor = args.get("benchmark", args.get("factor_returns"))
    others = series(factor) if isinstance(factor, dict) else dict.fromkeys(returns, float(factor))
    days = sorted(returns.keys() & others.keys())
    row = ask([returns[day] for day in days], [others[day] for day in days], days=days)
    alpha, ratio = row["alpha"], row["information_ratio"]
    ours = {
        "test_excess_sharpe": [None if ratio is None else ratio / math.sqrt(252)],
        "test_alpha_beta": [None if alpha is None else (1 + alpha / 252) ** 252 - 1, row["beta"]],
        "test_alpha": [None if alpha is None else (1 + alpha / 252) ** 252 - 1],
        "test_beta": [row["beta"]],
    }[case["test"]]
    expected = args["expected"] if isinstance(args["expected"], list) else [args["expected"]]
    for value, one in zip(ours, expected, strict=True):
        assert value == (None if one is None else pytest.approx(one, rel=TOLERANCE, abs=TOLERANCE)), case[
            "id"
        ]
    return 1
