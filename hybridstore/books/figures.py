"""What each figure of performance means: the definitions that stand beside the values, wherever they are shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from hybridstore.records import Record

DAYS_A_YEAR = 365
"""Markets that never close."""
OBSERVATIONS_MIN = 90
"""From so many days on a figure is told as of a year; before it would be an accident, multiplied."""
Unit = Literal["share", "ratio", "number", "money", "duration"]


class Figure(Record, frozen=True, gc=False):
    """The definition of a figure.

    Attributes:
        name: By which a program knows it.
        title: By which people do.
        unit: ``share``: 0.1 is ten per cent. ``ratio``: as it is. ``number``: a count. ``money``: Decimal.
            ``duration``: seconds.
        definition: How it is computed, in words.
        is_annualised: Whether it is of a year, so that a few days do not make one.
        compares: Whether it needs a benchmark.
        version: Goes up when the definition changes.
    """

    name: str
    title: str
    unit: Unit
    definition: str
    is_annualised: bool = False
    compares: bool = False
    version: int = 1

    @property
    def label(self) -> str:
        """By what a stored value names its definition."""
        return f"{self.name}/{self.version}"


_EXCESS = "excess: the day's return less the risk-free rate of a day, (1 + annual rate)^(1/365) - 1"
_ACTIVE = "active: the day's return less the benchmark's"

FIGURES = (
    Figure("total_return", "Return", "share", "product of (1 + daily return) - 1; deposits and withdrawals taken out"),
    Figure(
        "cagr", "Return a year (CAGR)", "share",
        "(end / start)^(365 / days) - 1, time-weighted", is_annualised=True,
    ),
    Figure("volatility", "Volatility", "share", "stddev_samp(daily return) * sqrt(365)", is_annualised=True),
    Figure(
        "downside_risk", "Downside risk", "share",
        f"sqrt(sum(min(excess, 0)^2) / all days) * sqrt(365); {_EXCESS}", is_annualised=True,
    ),
    Figure(
        "sharpe", "Sharpe ratio", "ratio",
        f"mean(excess) / stddev_samp(excess) * sqrt(365); {_EXCESS}", is_annualised=True,
    ),
    Figure(
        "sortino", "Sortino ratio", "ratio",
        f"mean(excess) / sqrt(sum(min(excess, 0)^2) / all days) * sqrt(365); {_EXCESS}", is_annualised=True,
    ),
    Figure(
        "max_drawdown", "Largest drawdown", "share",
        "lowest of growth / highest growth before - 1, the start included",
    ),
    Figure("calmar", "Calmar ratio", "ratio", "CAGR / |largest drawdown|", is_annualised=True),
    Figure("ulcer", "Ulcer index", "share", "sqrt(mean(drawdown^2))"),
    Figure("var_95", "Value at risk, 95 %", "share", "5 % quantile of the daily returns, linear between observations"),
    Figure(
        "cvar_95", "Expected shortfall, 95 %", "share",
        "mean of the daily returns that are at most the value at risk",
    ),
    Figure("omega", "Omega ratio", "ratio", f"sum of positive excess / |sum of negative excess|; {_EXCESS}"),
    Figure("skew", "Skew", "ratio", "of the daily returns, unbiased"),
    Figure("kurtosis", "Kurtosis", "ratio", "of the daily returns, unbiased, less that of the normal distribution (3)"),
    Figure("best_day", "Best day", "share", "highest daily return"),
    Figure("worst_day", "Worst day", "share", "lowest daily return"),
    Figure("positive_days", "Positive days", "share", "days with a positive return / days with a return other than 0"),
    Figure(
        "benchmark_return", "Return of the benchmark", "share",
        "product of (1 + its daily return) - 1", compares=True,
    ),
    Figure(
        "beta", "Beta", "ratio",
        f"slope of the regression of excess on the benchmark's excess; {_EXCESS}", compares=True,
    ),
    Figure(
        "alpha", "Alpha", "share", f"intercept of that regression * 365; {_EXCESS}", is_annualised=True, compares=True,
    ),
    Figure("correlation", "Correlation", "ratio", "of excess with the benchmark's excess", compares=True),
    Figure(
        "tracking_error", "Tracking error", "share", f"stddev_samp(active) * sqrt(365); {_ACTIVE}",
        is_annualised=True, compares=True,
    ),
    Figure(
        "information_ratio", "Information ratio", "ratio", f"mean(active) / stddev_samp(active) * sqrt(365); {_ACTIVE}",
        is_annualised=True, compares=True,
    ),
    Figure(
        "up_capture", "Up capture", "ratio",
        "geometric mean of the monthly returns in months in which the benchmark rose / that of the benchmark",
        compares=True,
    ),
    Figure(
        "down_capture", "Down capture", "ratio",
        "geometric mean of the monthly returns in months in which the benchmark fell / that of the benchmark",
        compares=True,
    ),
)  # fmt: skip
"""Every figure, in the order in which they are told. A ratio whose denominator is 0 is none."""


class Measured(Record, frozen=True, gc=False):
    """A figure and its value.

    Attributes:
        figure: The definition.
        value: None where there is none: too few days, no benchmark, or a denominator of 0.
        observations: Days that it is of.
    """

    figure: Figure
    value: float | None
    observations: int


def measured(
    row: Mapping[str, float | None], observations_min: int = OBSERVATIONS_MIN
) -> tuple[Measured, ...]:
    """Put values beside their definitions.

    Args:
        row: By name, as the question ``figures`` answers.
        observations_min: Days from which on a figure is told as of a year.

    Returns:
        Every figure.
    """
    found = []
    for figure in FIGURES:
        observations = int(row["compared" if figure.compares else "observations"] or 0)
        value = row[figure.name]
        is_told = value is not None and math.isfinite(value)
        if not is_told or (figure.is_annualised and observations < observations_min):
            value = None
        found.append(Measured(figure, value, observations))
    return tuple(found)
