# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Beside a benchmark
#
# Did the bot do better than holding? An account that money is paid into and taken out of cannot be judged by its
# balance. Deposits and withdrawals are taken out here, every figure says how it is defined, money is exact, and numpy
# checks the rest.

# %%
import tempfile
from decimal import Decimal
from pathlib import Path
from random import Random

import numpy as np
import polars as pl

from hybridstore import HybridStore, ManualClock
from hybridstore.clock import DAY_US, SECOND_US
from hybridstore.reports.account import report_account
from hybridstore.reports.page import write_page

FIRST, DAYS = 20_000, 240  # the first midnight, in days since 1970
CENT = Decimal("0.01")
folder = tempfile.TemporaryDirectory()
clock = ManualClock(FIRST * DAY_US)
store = HybridStore(Path(folder.name) / "store", clock=clock).open()

# %% [markdown]
# ## Two hundred and forty days
#
# Two markets, drawn with a seed. The bot follows the trend: nine tenths in Bitcoin while it is above its mean of twenty
# days, three tenths otherwise. Its owner pays 2,500 in every third week and takes some out every seventh. At each
# midnight the account is valued; beside a bot the maintenance process takes such a snapshot every minute.

# %%
rng = Random(21)
closes = {"BTC/USDT": [Decimal(60_000)], "ETH/USDT": [Decimal(3_000)]}
usdt, btc, fee_rate = Decimal(0), Decimal(0), Decimal("0.001")
for day in range(DAYS):
    clock.set((FIRST + day) * DAY_US)
    at_us = clock.now_us()
    mood = rng.randint(-25, 25)  # both markets have it in common
    for symbol, path in closes.items():
        close = (path[-1] * (1000 + mood + rng.randint(-12, 13)) / 1000).quantize(CENT)
        path.append(close)
        store.record_candles(
            [(symbol, "1d", at_us - DAY_US, path[-2], max(path[-2:]), min(path[-2:]), close, 1)]
        )
        store.record_mark(symbol, mark=close)
    if day % 21 == 0 or day % 49 == 48:
        flow = Decimal(20_000) if day == 0 else Decimal(2_500) if day % 21 == 0 else Decimal(-4_000)
        kind = "deposit" if flow > 0 else "withdrawal"
        store.record_ledger_entries(
            [("default", f"flow-{day}", kind, "USDT", flow, None, at_us - 3600 * SECOND_US)]
        )
        usdt += flow
    price, recent = closes["BTC/USDT"][-1], closes["BTC/USDT"][-20:]
    target = Decimal("0.9") if price * len(recent) >= sum(recent) else Decimal("0.3")
    amount = ((usdt + btc * price) * target / price - btc).quantize(Decimal("1e-4"))
    if day and abs(amount * price) > 1_000:
        fee = (abs(amount) * price * fee_rate).quantize(CENT)
        store.record_fill(
            "BTC/USDT",
            "buy" if amount > 0 else "sell",
            price,
            abs(amount),
            fee=fee,
            fee_currency="USDT",
            trade_id=f"t{day}",
            order_id=f"o{day}",
            strategy="trend",
            executed_at=at_us - SECOND_US,
        )
        usdt, btc = usdt - amount * price - fee, btc + amount
    store.record_balance_update("USDT", usdt)
    store.record_balance_update("BTC", btc)
    store.record_portfolio_snapshot(taken_at=at_us)
held = dict(store.sql("select asset, amount from ledger_balances").rows())
print(held)
assert held == {"USDT": usdt, "BTC": btc}  # what the exchange tells is what the ledger adds up to
assert store.books.prove().holds

# %% [markdown]
# ## Profit is not the change of the balance
#
# `profit` is exact: what is there now, less what was there, less what was paid in. The return is time-weighted: each
# day counts with what it had to work with, so neither a deposit before a rise nor a withdrawal before a fall makes the
# bot look better.

# %%
found = store.books.performance(benchmark="BTC/USDT", risk_free=0.03)
naive = float(found.end_equity / found.start_equity - 1)
print(f"from {found.start_equity:,.2f} to {found.end_equity:,.2f}")
print(f"paid in {found.net_flow:,.2f}, made {found.profit:,.2f}")
print(f"the balance grew by {naive:.2%}, the bot made {found.value('total_return'):.2%}")
flows = store.sql(
    "select sum(amount) from ledger where type in ('deposit', 'withdrawal') and occurred_at > $since",
    since=found.since,
)
assert found.net_flow == flows.rows()[0][0]
assert found.end_equity == found.start_equity + found.net_flow + found.profit
assert found.end_equity == usdt + btc * closes["BTC/USDT"][-1]

# %% [markdown]
# ## Every figure with its definition
#
# A Sharpe ratio without its annualisation, its risk-free rate and its kind of deviation is a rumour. Figures of a year
# need 90 days.

# %%
pl.Config.set_fmt_str_lengths(120)
pl.Config.set_tbl_rows(40)
figures = pl.DataFrame(
    [
        {
            "figure": one.figure.title,
            "value": one.value,
            "days": one.observations,
            "definition": one.figure.definition,
        }
        for one in found.figures
    ]
)
figures

# %% [markdown]
# The same by numpy, from the returns day by day:

# %%
mine = np.array([day.ret for day in found.days])
market = np.array([day.benchmark for day in found.days])
free = 1.03 ** (1 / 365) - 1
growth = np.cumprod(1 + mine)
by_numpy = {
    "total_return": growth[-1] - 1,
    "sharpe": (mine - free).mean() / (mine - free).std(ddof=1) * 365**0.5,
    "volatility": mine.std(ddof=1) * 365**0.5,
    "max_drawdown": (growth / np.maximum.accumulate(np.maximum(growth, 1)) - 1).min(),
    "benchmark_return": np.prod(1 + market) - 1,
    "beta": np.cov(mine, market)[0, 1] / market.var(ddof=1),
}
for name, value in by_numpy.items():
    print(f"{name:18} {found.value(name):10.6f} {value:10.6f}")
    assert abs(found.value(name) - value) < 1e-9
bought_and_held = closes["BTC/USDT"][-1] / closes["BTC/USDT"][1] - 1
assert abs(found.value("benchmark_return") - float(bought_and_held)) < 1e-9

# %%
pl.DataFrame(
    {
        "day": [day.day for day in found.days],
        "bot": 100 * growth,
        "bitcoin": 100 * np.cumprod(1 + market),
        "paid_in": [day.net_flow for day in found.days],
    }
).gather_every(30)

# %% [markdown]
# ## A basket
#
# Bought once at the start, three parts Bitcoin and one part Ether, and held: the weights drift as they would in a
# wallet. What the bot is compared with changes nothing of what it did.

# %%
basket = store.books.performance(benchmark={"BTC/USDT": 3, "ETH/USDT": 1}, risk_free=0.03)
parts = [
    0.75 * float(closes["BTC/USDT"][-1] / closes["BTC/USDT"][1]),
    0.25 * float(closes["ETH/USDT"][-1] / closes["ETH/USDT"][1]),
]
assert abs(basket.value("benchmark_return") - (sum(parts) - 1)) < 1e-9
assert basket.value("sharpe") == found.value("sharpe")
names = (
    "benchmark_return",
    "beta",
    "alpha",
    "correlation",
    "tracking_error",
    "information_ratio",
    "up_capture",
    "down_capture",
)
pl.DataFrame(
    [
        {"figure": name, found.benchmark: found.value(name), basket.benchmark: basket.value(name)}
        for name in names
    ]
)

# %% [markdown]
# ## Under water
#
# How deep and how long: the second is what makes an owner switch the bot off.

# %%
for drawdown in found.drawdowns[:3]:
    until = drawdown.recovered_day or "not yet"
    print(f"{drawdown.depth:.2%} in {drawdown.days} days:", drawdown.peak_day, drawdown.valley_day, until)
assert min(one.depth for one in found.drawdowns) == found.value("max_drawdown")

# %% [markdown]
# ## Written down
#
# With the version of each definition, so that a figure of last year is compared with one of the same kind. Written
# twice, it is there once.

# %%
written = store.insert("performance_metrics", [*found.metrics(), *basket.metrics()])
again = store.insert("performance_metrics", found.metrics())
print(written, again, sep="\n")
assert (again.inserted, again.repeated) == (0, len(found.metrics()))
store.sql("""
    select metric, definition, benchmark, value, observations from performance_metrics
    where metric in ('sharpe', 'beta', 'alpha') order by metric, benchmark
""")

# %% [markdown]
# ## As a page
#
# One HTML file that needs nothing else; `hybridstore report` makes it on the command line, the maintenance process once
# a day.

# %%
data = report_account(
    store.database, store.analytics, "default", "USDT", benchmark="BTC/USDT", risk_free=0.03
)
page = Path(folder.name) / "report.html"
write_page(data, page)
assert page.stat().st_size < 400_000
assert "Sharpe ratio" in page.read_text(encoding="utf-8")
for check in data.checks:
    print("holds:" if check.passed else "look:", check.name, "-", check.finding)

# %%
store.close()
folder.cleanup()
