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
# Did the bot do better than holding? Deposits and withdrawals are taken out, every figure says how it is defined, and money
# is exact.

# %%
import tempfile
from decimal import Decimal
from pathlib import Path
from random import Random

from hybridstore import HybridStore, ManualClock

DAY_US = 86_400_000_000
FIRST = 20_000
folder = tempfile.TemporaryDirectory()
clock = ManualClock(FIRST * DAY_US)
store = HybridStore(Path(folder.name) / "store", clock=clock).open()

# %% [markdown]
# ## Two hundred days
#
# Two markets, a bot that holds a little of one of them and trades the other, a deposit every fortnight.

# %%
rng = Random(21)
prices = {"BTC/USDT": Decimal(60_000), "ETH/USDT": Decimal(3_000)}
cash, coins = Decimal(20_000), Decimal("0.2")
deposited = Decimal(0)
for day in range(200):
    clock.set((FIRST + day) * DAY_US)
    for symbol in prices:
        close = (prices[symbol] * rng.randint(968, 1035) / 1000).quantize(Decimal("0.01"))
        prices[symbol] = close
        store.record_candles([(symbol, "1d", clock.now_us() - DAY_US, close, close, close, close, 1)])
        store.record_mark(symbol, mark=close)
    flow = Decimal(500) if day and day % 14 == 0 else Decimal(0)
    if flow:
        store.record_ledger_entries([("default", f"d{day}", "deposit", "USDT", flow, None, clock.now_us() - 1)])
    cash += flow + rng.randint(-60, 90)  # what trading brought in
    deposited += flow
    store.record_balance_update("USDT", cash)
    store.record_balance_update("BTC", coins)
    store.record_portfolio_snapshot(taken_at=clock.now_us())

# %%
found = store.books.performance(benchmark="BTC/USDT", risk_free=0.03)
assert found.net_flow == deposited
assert found.end_equity == found.start_equity + found.net_flow + found.profit  # exactly
for one in found.figures:
    print(f"{one.figure.title:28} {'-' if one.value is None else round(one.value, 4)!s:>10}   {one.figure.definition}")

# %% [markdown]
# ## A basket
#
# Bought once at the start, three parts Bitcoin and one part Ether, and held.

# %%
basket = store.books.performance(benchmark={"BTC/USDT": 3, "ETH/USDT": 1})
print(basket.benchmark, basket.value("benchmark_return"), basket.value("information_ratio"))
assert basket.value("total_return") == found.value("total_return")  # what it is compared with changes nothing of it

# %% [markdown]
# ## Under water

# %%
for drawdown in found.drawdowns[:3]:
    print(drawdown.peak_day, drawdown.valley_day, drawdown.recovered_day, f"{drawdown.depth:.2%}", drawdown.days)
assert min(one.depth for one in found.drawdowns) == found.value("max_drawdown")

# %% [markdown]
# ## Written down
#
# With the version of each definition, so that a figure of last year is compared with one of the same kind.

# %%
store.insert("performance_metrics", found.metrics())
store.sql("select metric, definition, value, observations from performance_metrics where value is not null order by metric")

# %% [markdown]
# ## As a page
#
# One HTML file; `hybridstore report` makes it on the command line, and the maintenance process once a day.

# %%
from hybridstore.reports.account import report_account
from hybridstore.reports.page import write_page

data = report_account(store.database, store.analytics, "default", "USDT", benchmark="BTC/USDT")
size_bytes = write_page(data, Path(folder.name) / "report.html")
assert size_bytes < 400_000
size_bytes

# %%
store.close()
folder.cleanup()
