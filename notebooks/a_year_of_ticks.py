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
# # A year of ticks
#
# Public trades of a year, archived as they grow old: warm by day, cold by month, frozen once all of a year is old enough.
# VWAP, candles and a volume profile are computed from the ticks themselves, over all tiers.

# %%
import tempfile
import time
from pathlib import Path

import numpy as np

from hybridstore import HybridStore, ManualClock

DAY_US = 86_400_000_000
FIRST, DAYS, A_DAY = 19_900, 400, 250
folder = tempfile.TemporaryDirectory()
clock = ManualClock(FIRST * DAY_US)
store = HybridStore(Path(folder.name) / "store", clock=clock).open()

# %% [markdown]
# ## Draw a year
#
# A random walk with a seed. A hundred days at a time are recorded and archived, as they would be over the year. A real feed
# has millions of ticks a day; the questions below are the same.

# %%
rng = np.random.default_rng(3)
ticks, level = 0, 60_000_00
for day in range(DAYS):
    steps = rng.integers(-3000, 3010, A_DAY).cumsum()
    cents = np.maximum(level + steps, 1_000_00)
    level = int(cents[-1])
    at_us = np.sort(rng.integers(0, DAY_US, A_DAY)) + (FIRST + day) * DAY_US
    amounts = rng.integers(1, 90_000, A_DAY)
    clock.set((FIRST + day + 1) * DAY_US)
    store.record_market_trades(
        [
            ("BTC/USDT", ticks + place, f"{cent / 100:.2f}", f"{amount / 1e5:.5f}", "buy", int(at))
            for place, (cent, amount, at) in enumerate(zip(cents, amounts, at_us, strict=True))
        ],
        durability="normal",
    )
    ticks += A_DAY
    if day % 100 == 99:
        store.retention.run()
tiers = store.get_system_status()["tiers"]
print({tier: found["rows"] for tier, found in tiers.items()})
assert {"warm", "cold"} <= set(tiers)

# %% [markdown]
# ## VWAP, minute by minute, of one day
#
# A condition on the dataset's own time opens the files of that day alone.

# %%
vwap = """
    select time_bucket(interval 1 minute, traded_at) as minute,
           sum(price::decimal(38, 8) * amount) / sum(amount) as vwap, sum(amount) as volume
    from market_trades
    where symbol = 'BTC/USDT' and traded_at >= $start and traded_at < $end
    group by all order by all
"""
from datetime import UTC, datetime, timedelta

day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=FIRST + 200)
begun = time.perf_counter()
one_day = store.sql(vwap, start=day, end=day + timedelta(days=1))
print(f"{(time.perf_counter() - begun) * 1000:.0f} ms")
assert len(one_day) > 100
one_day

# %% [markdown]
# ## Candles of the whole year

# %%
candles = store.sql("""
    select time_bucket(interval 1 day, traded_at) as day, arg_min(price, traded_at) as open, max(price) as high,
           min(price) as low, arg_max(price, traded_at) as close, sum(amount) as volume, count(*) as ticks
    from market_trades where symbol = 'BTC/USDT' group by all order by all
""").pl()
assert candles.height == DAYS
assert candles["ticks"].sum() == ticks
candles.head(3)

# %% [markdown]
# ## Where the volume was

# %%
profile = store.sql("""
    select floor(price / 1000) * 1000 as level, sum(amount) as volume, count(*) as ticks
    from market_trades group by all order by level
""")
assert sum(row[2] for row in profile.rows()) == ticks
profile

# %% [markdown]
# ## Nothing is lost, nothing is there twice

# %%
count, distinct, volume = store.sql("select count(*), count(distinct trade_id), sum(amount) from market_trades").rows()[0]
assert count == distinct == ticks
assert volume == sum(row[1] for row in profile.rows())
store.close()
folder.cleanup()
