"""What the logs say of a statement, and of a minute."""

from __future__ import annotations

import math
import random

import pytest

from hybridstore.hot.journal_lines import SQL_LENGTH_MAX, Figures, shape_of


def test_percentiles_are_close(rng: random.Random) -> None:
    figures = Figures()
    assert (figures.is_empty, figures.percentile_ms(0.5)) == (True, 0.0)
    durations_s = [rng.lognormvariate(-8, 1.5) for _ in range(5000)]
    for duration_s in durations_s:
        figures.add(duration_s, 3)
    durations_s.sort()
    assert (figures.commits, figures.operations) == (5000, 15_000)
    for share in (0.5, 0.9, 0.99, 1):
        exact_ms = durations_s[math.ceil(share * 5000) - 1] * 1000
        assert exact_ms <= figures.percentile_ms(share) * (1 + 1e-9) <= exact_ms * 1.0443


@pytest.mark.parametrize(
    ("sql", "shape"),
    [
        ("select a1 from t where b = 'x''y' and c > 1.5e-3", "select a1 from t where b = ? and c > ?"),
        ("select 1 -- it's late\n  , 2 /* 'and\nlater */ from t", "select ? , ? from t"),
        ('select "it\'s", $p1, ?2, :n3 from s.t4', 'select "it\'s", $p1, ?2, :n3 from s.t4'),
        (r"select e'a\'b', $$c$$, $t$ d $ $t$, date '2026-01-01'", "select ?, ?, ?, date ?"),
        ("select 0x1F, .5, 1_000, 'never closed", "select ?, ?, ?, ?"),
        ("select 'été' from été", "select ? from été"),
        (f"select {'a, ' * 100}b", f"select {'a, ' * 100}b"[:SQL_LENGTH_MAX]),
    ],
)
def test_statements_without_their_constants(sql: str, shape: str) -> None:
    assert shape_of(sql) == shape
