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
# # Archives with polars
#
# History moves by itself from SQLite into Parquet: warm by day, cold by month, frozen by year. `store.scan` reads a dataset
# over all of it as a polars LazyFrame, and nothing about a question changes when rows move.

# %%
import tempfile
from decimal import Decimal
from pathlib import Path
from random import Random

import polars as pl

from hybridstore import HybridStore, ManualClock

DAY_US = 86_400_000_000
folder = tempfile.TemporaryDirectory()
clock = ManualClock(20_000 * DAY_US)  # a clock that the notebook sets itself
store = HybridStore(Path(folder.name) / "store", clock=clock).open()

# %% [markdown]
# ## Two months of fills
#
# A random walk, with a seed: everybody sees the same.

# %%
rng = Random(7)
price = Decimal(60_000)
for number in range(1_500):
    clock.advance(DAY_US // 25)
    price = (price * rng.randint(990, 1010) / 1000).quantize(Decimal("0.01"))
    store.record_fill(
        rng.choice(["BTC/USDT:USDT", "ETH/USDT:USDT"]),
        rng.choice(["buy", "sell"]),
        price,
        Decimal(rng.randint(1, 50)) / 1000,
        fee="0.05",
        fee_currency="USDT",
        trade_id=f"t{number}",
        order_id=f"o{number}",
        durability="normal",
    )
asked = "select symbol, side, count(*) as fills, sum(quote_amount) as volume, sum(fee) as fees from trades group by all"
hot = sorted(store.sql(asked).rows())
store.sql(asked)

# %% [markdown]
# ## Move what is old
#
# The maintenance process does this by itself; here it is asked to. The same question, the same answer, to the last digit.

# %%
moved = store.retention.run()
print(f"{moved.rows:,} rows into {moved.files} files")
assert moved.rows > 4_000
assert sorted(store.sql(asked).rows()) == hot
files = sorted(path.relative_to(store.root).as_posix() for path in store.root.glob("archives/*/trades/**/*.parquet"))
files[:3]

# %% [markdown]
# ## LazyFrames
#
# Filters and columns are pushed down into the files; `start`, `end` and `symbol` also choose which files are opened.

# %%
start = (20_010 * DAY_US, 20_013 * DAY_US)
lazy = store.scan("trades", start=start[0], end=start[1], symbol="BTC/USDT:USDT")
print(lazy.select("executed_at", "price").explain()[:400])
per_day = (
    lazy.group_by(pl.col("executed_at").dt.date().alias("day"), "side")
    .agg(pl.col("quote_amount").sum().alias("volume"), pl.len().alias("fills"))
    .sort("day", "side")
    .collect()
)
per_day

# %%
checked = store.sql(
    "select sum(quote_amount), count(*) from trades where symbol = 'BTC/USDT:USDT' and executed_at >= $start "
    "and executed_at < $end",
    start=per_day["day"].min(),
    end=per_day["day"].max().replace(day=per_day["day"].max().day + 1),
).rows()[0]
assert (per_day["volume"].sum(), per_day["fills"].sum()) == checked  # polars sums decimals exactly, too

# %% [markdown]
# A chart wants floats, and only a chart: cast at the end.

# %%
curve = (
    store.scan("trades")
    .sort("executed_at")
    .select("executed_at", pl.col("net_pnl").cum_sum().cast(pl.Float64).alias("realised"))
    .collect()
)
curve.tail(3)

# %%
store.close()
folder.cleanup()
